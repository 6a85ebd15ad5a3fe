import { setTimeout as sleep } from 'node:timers/promises'
import { VectorIndex, type Metric } from 'vicinal'
import { percentile, timed, watchEventLoop } from '../examples/measure.js'

/** Rows in memory, row-major. */
export interface Data {
  base: Float32Array
  rows: number
  dimensions: number
  metric: Metric
}

/** The index's default: with so many rows it begins to build its graph. */
const THRESHOLD = 5_000
const STREAMED = 100_000
const BATCH = 10_000
const ROUNDS = 10
const IDLE_SECONDS = 0.5
const K = 10

/** Seconds from the `add` of the row that reaches the threshold to the finished graph, nothing else going on. */
export async function migration(data: Data): Promise<object> {
  const seconds = []
  for (let round = 0; round < ROUNDS; round++) {
    const index = await belowThreshold(data)
    seconds.push(await cross(data, index))
    await index.close()
  }
  return { rows: THRESHOLD, median: percentile(seconds, 0.5), worst: Math.max(...seconds) }
}

/**
 * Latency of a query every millisecond: while the index waits one row below the threshold (exact), while it migrates,
 * and while it waits with its graph. One migration is short, so the queries of several are taken together.
 */
export async function latency(data: Data, queries: Float32Array): Promise<object> {
  const exact: number[] = []
  const migrating: number[] = []
  const graph: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const index = await belowThreshold(data)
    await queried(index, queries, exact, () => sleep(IDLE_SECONDS * 1000))
    await queried(index, queries, migrating, () => cross(data, index))
    await queried(index, queries, graph, () => sleep(IDLE_SECONDS * 1000))
    await index.close()
  }
  return { exact: summary(exact), migrating: summary(migrating), graph: summary(graph) }
}

/** Delay of the event loop while up to 100,000 vectors are added in awaited batches and all of them migrate. */
export async function stream(data: Data): Promise<object> {
  const rows = Math.min(STREAMED, data.rows)
  const index = open(data)
  const unwatch = watchEventLoop()
  const seconds = await timed(async () => {
    for (let first = 0; first < rows; first += BATCH) await add(data, index, first, Math.min(first + BATCH, rows))
    await index.migrate()
  })
  const eventLoop = unwatch()
  await index.close()
  return { rows, seconds, eventLoop }
}

function open({ dimensions, metric }: Data): VectorIndex {
  return new VectorIndex({ dimensions, metric, threads: 2 })
}

async function belowThreshold(data: Data): Promise<VectorIndex> {
  const index = open(data)
  await add(data, index, 0, THRESHOLD - 1)
  return index
}

async function cross(data: Data, index: VectorIndex): Promise<number> {
  return timed(async () => {
    await add(data, index, THRESHOLD - 1, THRESHOLD)
    await index.migrate()
  })
}

export async function add({ base, dimensions }: Data, index: VectorIndex, first: number, end: number): Promise<void> {
  await index.add(rowNumbers(first, end), base.subarray(first * dimensions, end * dimensions))
}

/** A plain loop, because this runs on the event loop that is being watched. */
function rowNumbers(first: number, end: number): Float64Array {
  const ids = new Float64Array(end - first)
  for (let i = 0; i < ids.length; i++) ids[i] = first + i
  return ids
}

/**
 * Asks a query every millisecond while `work` goes on, whether or not those before are answered: a slow answer must not
 * thin out the queries that would have been slow too.
 */
async function queried(
  index: VectorIndex,
  queries: Float32Array,
  latencies: number[],
  work: () => Promise<unknown>,
): Promise<void> {
  const { dimensions } = index
  const count = queries.length / dimensions
  const pending: Promise<void>[] = []
  const ask = async (): Promise<void> => {
    const query = pending.length % count
    const start = performance.now()
    await index.search(queries.subarray(query * dimensions, (query + 1) * dimensions), { k: K })
    latencies.push(performance.now() - start)
  }
  const timer = setInterval(() => pending.push(ask()), 1)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  await Promise.all(pending)
}

function summary(latencies: readonly number[]): object {
  return { queries: latencies.length, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
}
