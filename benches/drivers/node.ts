// What the programs that measure from Node share: the conversation, the files, the arithmetic.
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { percentile } from '../../examples/measure.js'
import { readTruth, readVectors, VectorFile, type Truth } from '../../examples/formats.js'

export const K = 10
export const M = 16
export const EF_CONSTRUCTION = 200
export const BUILD_THREADS = 2
const TIMED_QUERIES = 2_000
const WARM_UP = 200

/** Rows in memory, row-major. */
export interface Data {
  base: Float32Array | Uint8Array
  rows: number
  dimensions: number
  metric: 'l2' | 'cosine'
}

/** One query each: `all` of them, and the first ones as single arrays to be timed. */
export interface Queries {
  all: Float32Array
  count: number
  timed: Float32Array
  singles: Float32Array[]
}

export interface Speed {
  qps: number
  p50?: number
  p99?: number
}

/** What a program can be asked for; the number is the width of the search. */
export interface Commands {
  open: () => Promise<object>
  build: () => Promise<object>
  recall: (ef: number) => Promise<object>
  search: (ef: number) => Promise<object>
  overhead?: (ef: number) => Promise<object>
  live?: () => Promise<object>
}

/** What the command line says. */
export function readOptions() {
  const text = { type: 'string' } as const
  const options = { base: text, query: text, truth: text, metric: text, rows: text } as const
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const { base, query, truth, metric = 'l2', rows } = values
  if (base === undefined || query === undefined || truth === undefined || rows === undefined) {
    throw new Error('expected --base, --query, --truth and --rows')
  }
  return { library: positionals[0], base, query, truth, metric: metric as Data['metric'], rows: Number(rows) }
}

/** Answers each line of stdin with a line of JSON, until there is none or a command fails. */
export async function serve(commands: Commands): Promise<void> {
  for await (const line of createInterface(process.stdin)) {
    const [name, argument] = line.split(' ')
    try {
      const command = commands[name as keyof Commands]
      if (command === undefined) throw new Error(`unknown command '${line}'`)
      console.log(JSON.stringify(await command(Number(argument))))
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }))
      process.exitCode = 1
      return
    }
  }
}

export async function loadBase<V extends Data['base'] = Float32Array>(
  { base: path, rows, metric }: ReturnType<typeof readOptions>,
  Values: new (length: number) => V = Float32Array as unknown as new (length: number) => V,
): Promise<Data & { base: V }> {
  const file = await VectorFile.open(path)
  const { dimensions } = file
  const base = new Values(rows * dimensions)
  for (let first = 0; first < rows; first += 10_000) {
    base.set(await file.read(first, Math.min(10_000, rows - first)), first * dimensions)
  }
  await file.close()
  return { base, rows, dimensions, metric }
}

export async function loadQueries(path: string): Promise<Queries> {
  const { rows, n: count, dimensions } = await readVectors(path)
  const all = new Float32Array(rows)
  const timed = all.subarray(0, TIMED_QUERIES * dimensions)
  const singles = Array.from({ length: timed.length / dimensions }, (_, i) =>
    timed.subarray(i * dimensions, (i + 1) * dimensions),
  )
  return { all, count, timed, singles }
}

/** Per query the rows that count as hits: no farther than the true k-th, so that ties count. */
export async function loadAccepted(path: string): Promise<Set<number>[]> {
  const { n, k, ids, distances }: Truth = await readTruth(path)
  if (distances === undefined) throw new Error(`${path}: expected distances`)
  return Array.from({ length: n }, (_, query) => {
    const bound = distances[query * k + K - 1]!
    const limit = bound + 1e-6 * Math.abs(bound)
    const near = ids.subarray(query * k, (query + 1) * k).filter((_id, rank) => distances[query * k + rank]! <= limit)
    return new Set(near)
  })
}

/** @param found the rows found for each query, one query after the other */
export function recall(found: ArrayLike<number>, accepted: readonly Set<number>[]): number {
  let hits = 0
  for (const [query, near] of accepted.entries()) {
    const distinct = new Set(Array.from({ length: K }, (_, rank) => found[query * K + rank]!))
    for (const row of distinct) if (near.has(row)) hits++
  }
  return hits / (accepted.length * K)
}

/** Times single calls, after some that are not timed. */
export function timeSingles<Query>(queries: readonly Query[], search: (query: Query) => void): Speed {
  for (const query of queries.slice(0, WARM_UP)) search(query)
  const times = new Float64Array(queries.length + 1)
  times[0] = performance.now()
  for (let i = 0; i < queries.length; i++) {
    search(queries[i]!)
    times[i + 1] = performance.now()
  }
  const micros = Array.from(queries, (_, i) => (times[i + 1]! - times[i]!) * 1000)
  const seconds = (times[queries.length]! - times[0]!) / 1000
  return { qps: queries.length / seconds, p50: percentile(micros, 0.5), p99: percentile(micros, 0.99) }
}

/** Runs `work` and tells what it took: time, and memory over what the process held before. */
export async function measureBuild(
  work: () => Promise<void>,
): Promise<{ seconds: number; restingBytes: number; peakBytes: number | null }> {
  const before = await residentBytes()
  resetPeak()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  const peak = peakBytes()
  return { seconds, restingBytes: (await residentBytes()) - before, peakBytes: peak === null ? null : peak - before }
}

async function residentBytes(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('expected node --expose-gc')
  globalThis.gc()
  // The memory of typed arrays is given back by another thread.
  await sleep(500)
  return process.memoryUsage.rss()
}

function resetPeak(): void {
  if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5')
}

function peakBytes(): number | null {
  if (process.platform !== 'linux') return null
  const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}
