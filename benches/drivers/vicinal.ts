// Measures vicinal from Node, with its defaults, as vicinal-inserted with its rows inserted step by step, or as
// vicinal-u8 with its rows kept as bytes; see
// benches/README.md for the commands. `single` is searchSync, `batch`
// is searchBatch on 1 thread and `batch2` on 2; `overhead` compares searchSync with Rust calls on the same index; `live` closes all of this and measures fresh indexes while they migrate.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchIndex, type BenchIndex } from './addon.js'
import { VectorIndex } from 'vicinal'
import { timed } from '../../examples/measure.js'
import { measureLive, LIVE_ROWS } from './live.js'
import { K, loadAccepted, loadBase, loadQueries, measureBuild, readOptions } from './node.js'
import { recall, serve, timeSingles, type Commands, type Data, type Queries, type Speed } from './node.js'
import { measureOverhead } from './overhead.js'
import { add, open } from './streaming.js'

const BATCH = 10_000
const WARM_UP = 200

/** Rows a step, as the background migration inserts them. */
const STEP = 1_000

const options = readOptions()
const isInserted = options.library === 'vicinal-inserted'
const isBytes = options.library === 'vicinal-u8'

class Vicinal implements Commands {
  #queries!: Queries
  #accepted!: Set<number>[]
  #index!: VectorIndex
  #bench!: BenchIndex
  /** The same index, saved and opened with 1 thread. */
  #single!: VectorIndex
  /** The beginning of the data, for `live`. */
  #data!: Data

  open = async (): Promise<object> => {
    this.#queries = await loadQueries(options.query)
    this.#accepted = await loadAccepted(options.truth)
    return {}
  }

  /** In awaited batches. */
  build = async (): Promise<object> => {
    const data = await loadBase<Data['base']>(options, isBytes ? Uint8Array : Float32Array)
    const { rows, dimensions } = data
    const index = open(data, isInserted ? 'manual' : 'auto')
    this.#bench = benchIndex()
    const built = await measureBuild(async () => {
      for (let first = 0; first < rows; first += BATCH) await add(data, index, first, Math.min(first + BATCH, rows))
      if (isInserted) await insert(index)
      else await index.migrate()
    })
    const { m, meanDegree, simd, migration } = index.stats()
    this.#index = index
    this.#single = await reopened(index)
    this.#data = { ...data, rows: Math.min(rows, LIVE_ROWS), base: data.base.slice(0, LIVE_ROWS * dimensions) }
    const parameters = { m, meanDegree: meanDegree.toFixed(1), simd, method: migration.method ?? '–', batch: BATCH }
    return { ...built, parameters }
  }

  recall = async (ef: number): Promise<object> => {
    const { all, count } = this.#queries
    const before = this.#bench.evaluations()
    const { ids } = await this.#index.searchBatch(all, { k: K, ef })
    const evaluations = (this.#bench.evaluations() - before) / count
    return { recall: recall(ids as Float64Array, this.#accepted), evaluations }
  }

  search = async (ef: number): Promise<object> => {
    const { singles, timed: queries } = this.#queries
    const { dimensions } = this.#index
    const batch = async (index: VectorIndex): Promise<Speed> => {
      await index.searchBatch(queries.subarray(0, WARM_UP * dimensions), { k: K, ef })
      return { qps: singles.length / (await timed(() => index.searchBatch(queries, { k: K, ef }))) }
    }
    return {
      single: timeSingles(singles, (query) => this.#index.searchSync(query, { k: K, ef })),
      batch: await batch(this.#single),
      batch2: await batch(this.#index),
    }
  }

  overhead = async (ef: number): Promise<object> => {
    const searchSync = (query: Float32Array) => this.#index.searchSync(query, { k: K, ef })
    const { timed: queries, singles } = this.#queries
    return { ef, ...measureOverhead(singles, searchSync, queries, (block) => this.#bench.searchSeconds(block, K, ef)) }
  }

  live = async (): Promise<object> => {
    await this.#index.close()
    await this.#single.close()
    return measureLive(this.#data, this.#queries.all)
  }
}

/** All that waits, in the order in which it was added. */
async function insert(index: VectorIndex): Promise<void> {
  while ((await index.migrateStep(STEP)) > 0);
}

async function reopened(index: VectorIndex): Promise<VectorIndex> {
  const folder = await mkdtemp(join(tmpdir(), 'vicinal-bench-'))
  try {
    await index.save(join(folder, 'index.vicinal'))
    return await VectorIndex.load(join(folder, 'index.vicinal'), { threads: 1 })
  } finally {
    await rm(folder, { recursive: true })
  }
}

await serve(new Vicinal())
