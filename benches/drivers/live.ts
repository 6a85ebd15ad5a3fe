// What only the index itself can be asked for: how it fares while it migrates. Each measurement makes fresh indexes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { VectorIndex } from 'vicinal'
import type { Live } from '../compare/report.js'
import { percentile, timed, watchEventLoop } from '../../examples/measure.js'
import type { Data } from './node.js'
import { askEveryMillisecond, type Answered } from './queries.js'
import { add, belowThreshold, open, THRESHOLD } from './streaming.js'
import { timeline } from './timeline.js'

/** As many rows as the measurements here use at most. */
export const LIVE_ROWS = 100_000
const BATCH = 10_000
const ROUNDS = 10
const IDLE_SECONDS = 0.5

export async function measureLive(data: Data, queries: Float32Array): Promise<Live> {
  return {
    migration: await migration(data),
    latency: await latency(data, queries),
    stream: await stream(data),
    timeline: await timeline(data, queries),
  }
}

/** Seconds from the `add` of the row that reaches the threshold to the finished graph, nothing else going on. */
async function migration(data: Data): Promise<Live['migration']> {
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
async function latency(data: Data, queries: Float32Array): Promise<Live['latency']> {
  const exact: Answered[] = []
  const migrating: Answered[] = []
  const graph: Answered[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const index = await belowThreshold(data)
    const ask = (work: () => Promise<unknown>): Promise<Answered[]> => askEveryMillisecond(index, queries, work)
    exact.push(...(await ask(() => sleep(IDLE_SECONDS * 1000))))
    migrating.push(...(await ask(() => cross(data, index))))
    graph.push(...(await ask(() => sleep(IDLE_SECONDS * 1000))))
    await index.close()
  }
  return { exact: summary(exact), migrating: summary(migrating), graph: summary(graph) }
}

/** Delay of the event loop while the vectors are added in awaited batches and all of them migrate. */
async function stream(data: Data): Promise<Live['stream']> {
  const { rows } = data
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

async function cross(data: Data, index: VectorIndex): Promise<number> {
  return timed(async () => {
    await add(data, index, THRESHOLD - 1, THRESHOLD)
    await index.migrate()
  })
}

function summary(answered: readonly Answered[]): Live['latency']['exact'] {
  const took = answered.map((query) => query.took)
  return { queries: took.length, p50: percentile(took, 0.5), p99: percentile(took, 0.99) }
}
