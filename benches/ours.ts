// Measures vicinal from Node. Takes one command a line, answers each with one line of JSON:
//
//   build        add all rows in awaited batches of 10,000 and wait for the graph (2 threads, all else default)
//   save DIR     write index.vicinal, for batches, which are asked of it on 1 and on 2 threads
//   recall EF    recall@10 over all queries
//   search EF    queries a second over the first 2,000: `rust` by Rust calls, `single` by searchSync, `batch` by
//                searchBatch on 1 thread, `batch2` by searchBatch on 2 threads
//   overhead EF  microseconds a query: `rust` by Rust calls, `sync` by searchSync, `difference` of the two, each the
//                median of many blocks of queries that both are asked in turn
//   live         close all of this, then measure fresh indexes while they migrate: live.ts
//
// Needs node --expose-gc, so that garbage is not taken for memory of the index.
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { rustSearches } from './addon.js'
import { VectorIndex, type Metric } from 'vicinal'
import { readTruth, readVectors, VectorFile, type Truth } from '../examples/formats.js'
import { percentile, timed } from '../examples/measure.js'
import { add, latency, migration, stream, type Data } from './live.js'

const K = 10
const BATCH = 10_000
const TIMED_QUERIES = 2_000
const WARM_UP = 200
/** Queries that Rust calls and searchSync are asked in turn. */
const BLOCK = 20
const ROUNDS = 20

class Driver {
  readonly #data: Data
  readonly #queries: Float32Array
  readonly #truth: Truth
  readonly #index: VectorIndex
  readonly #fromRust: ReturnType<typeof rustSearches>
  /** The saved index, opened with 1 and with 2 threads. */
  #opened: VectorIndex[] = []

  constructor(data: Data, queries: Float32Array, truth: Truth) {
    this.#data = data
    this.#queries = queries
    this.#truth = truth
    this.#index = new VectorIndex({ dimensions: data.dimensions, metric: data.metric, threads: 2 })
    this.#fromRust = rustSearches()
  }

  async build(): Promise<object> {
    const { rows } = this.#data
    const before = await residentBytes()
    const seconds = await timed(async () => {
      for (let first = 0; first < rows; first += BATCH) {
        await add(this.#data, this.#index, first, Math.min(first + BATCH, rows))
      }
      await this.#index.migrate()
    })
    const { m, meanDegree, simd, bytes, migration: state } = this.#index.stats()
    const bytesHeld = (await residentBytes()) - before
    return { rows, seconds, bytes: bytesHeld, stats: { m, meanDegree, simd, bytes, migration: state } }
  }

  async save(directory: string): Promise<object> {
    const path = join(directory, 'index.vicinal')
    const seconds = await timed(() => this.#index.save(path))
    this.#opened = [await VectorIndex.load(path, { threads: 1 }), await VectorIndex.load(path, { threads: 2 })]
    return { seconds }
  }

  async recall(text: string): Promise<object> {
    const ef = Number(text)
    const { distances } = await this.#index.searchBatch(this.#queries, { k: K, ef })
    return { ef, recall: recall(distances, this.#truth) }
  }

  async search(text: string): Promise<object> {
    const ef = Number(text)
    const queries = this.#timedQueries()
    const count = queries.length / this.#data.dimensions
    const warmUp = queries.subarray(0, WARM_UP * this.#data.dimensions)
    this.#fromRust(warmUp, K, ef)
    const rust = this.#fromRust(queries, K, ef)
    this.#searchSync(warmUp, ef)
    const single = this.#searchSync(queries, ef)
    const batches = []
    for (const index of this.#opened) {
      await index.searchBatch(warmUp, { k: K, ef })
      batches.push(await timed(() => index.searchBatch(queries, { k: K, ef })))
    }
    const [batch, batch2] = batches as [number, number]
    return { ef, rust: count / rust, single: count / single, batch: count / batch, batch2: count / batch2 }
  }

  async overhead(text: string): Promise<object> {
    const ef = Number(text)
    const queries = this.#timedQueries()
    const length = BLOCK * this.#data.dimensions
    // Until it is all compiled.
    for (let pass = 0; pass < 3; pass++) this.#searchSync(queries, ef)
    const microseconds: Record<'rust' | 'sync' | 'difference', number[]> = { rust: [], sync: [], difference: [] }
    for (let round = 0; round < ROUNDS; round++) {
      for (let start = 0; start + length <= queries.length; start += length) {
        const block = queries.subarray(start, start + length)
        // Whoever comes later finds the rows in the caches: so neither is the first, and they take turns as the second.
        this.#fromRust(block, K, ef)
        const before = round % 2 === 0 ? this.#fromRust(block, K, ef) : undefined
        const sync = this.#searchSync(block, ef)
        const rust = before ?? this.#fromRust(block, K, ef)
        for (const [name, seconds] of Object.entries({ rust, sync, difference: sync - rust }))
          microseconds[name as keyof typeof microseconds].push((seconds * 1e6) / BLOCK)
      }
    }
    const medians = Object.entries(microseconds).map(([name, values]) => [name, percentile(values, 0.5)])
    return { ef, ...Object.fromEntries(medians) }
  }

  async live(): Promise<object> {
    for (const index of [this.#index, ...this.#opened]) await index.close()
    return {
      migration: await migration(this.#data),
      latency: await latency(this.#data, this.#queries),
      stream: await stream(this.#data),
    }
  }

  #timedQueries(): Float32Array {
    return this.#queries.subarray(0, TIMED_QUERIES * this.#data.dimensions)
  }

  /** The seconds that searchSync takes for all of these queries. */
  #searchSync(queries: Float32Array, ef: number): number {
    const { dimensions } = this.#data
    const start = performance.now()
    for (let i = 0; i < queries.length; i += dimensions) {
      this.#index.searchSync(queries.subarray(i, i + dimensions), { k: K, ef })
    }
    return (performance.now() - start) / 1000
  }
}

/** The share of hits that are no farther than the true k-th, so that ties count; the margin is single precision's. */
function recall(distances: Float32Array, { n, k, distances: exact }: Truth): number {
  if (exact === undefined) throw new Error('expected ground truth with distances')
  let found = 0
  for (let query = 0; query < n; query++) {
    const bound = exact[query * k + K - 1]!
    const limit = bound + 1e-5 * Math.abs(bound) + 1e-6
    for (let rank = 0; rank < K; rank++) if (distances[query * K + rank]! <= limit) found++
  }
  return found / (n * K)
}

async function residentBytes(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('expected node --expose-gc')
  globalThis.gc()
  // The memory of typed arrays is given back by another thread.
  await sleep(500)
  return process.memoryUsage.rss()
}

async function open(): Promise<Driver> {
  const text = { type: 'string' } as const
  const options = { base: text, query: text, truth: text, metric: text, rows: text } as const
  const { base: basePath, query, truth, metric = 'l2', rows: limit } = parseArgs({ options }).values
  if (basePath === undefined || query === undefined || truth === undefined) {
    throw new Error('expected --base, --query and --truth')
  }
  const file = await VectorFile.open(basePath)
  const { n, dimensions } = file
  const rows = Math.min(n, Number(limit ?? n))
  const base = new Float32Array(await file.read(0, rows))
  await file.close()
  const data = { base, rows, dimensions, metric: metric as Metric }
  return new Driver(data, new Float32Array((await readVectors(query)).rows), await readTruth(truth))
}

const driver = await open()
for await (const line of createInterface(process.stdin)) {
  const [what, argument = ''] = line.split(' ')
  const commands: Record<string, (argument: string) => Promise<object>> = {
    build: () => driver.build(),
    save: (directory) => driver.save(directory),
    recall: (ef) => driver.recall(ef),
    search: (ef) => driver.search(ef),
    overhead: (ef) => driver.overhead(ef),
    live: () => driver.live(),
  }
  const command = commands[what!]
  if (command === undefined) throw new Error(`unknown command '${line}'`)
  console.log(JSON.stringify({ library: 'vicinal', what, ...(await command(argument)) }))
}
