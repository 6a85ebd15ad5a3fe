// How long queries take, slice by slice, from a small exact index over rows that stream in to the finished graph.
import { setTimeout as sleep } from 'node:timers/promises'
import type { VectorIndex } from 'vicinal'
import type { Slice, Timeline } from '../compare/report.js'
import { percentile } from '../../examples/measure.js'
import { add, belowThreshold, THRESHOLD } from './streaming.js'
import type { Data } from './node.js'
import { askEveryMillisecond, type Answered } from './queries.js'

const BATCH = 1_000
const IDLE_SECONDS = 2
const SLICES = 120
/** An index that the queries overload may not come to an end. */
const LIMIT_SECONDS = 30

/** Rows come in awaited batches of 1,000, which do not wait for the migration. Ends when there is a graph, or at a limit. */
export async function timeline(data: Data, queries: Float32Array): Promise<Timeline> {
  const { rows } = data
  const index = await belowThreshold(data)
  const phases: Timeline['phases'] = []
  const start = performance.now()
  const begin = (name: Timeline['phases'][number]['name']): void => {
    phases.push({ name, from: (performance.now() - start) / 1000 })
  }
  const answered = await askEveryMillisecond(index, queries, async () => {
    begin('exact')
    await sleep(IDLE_SECONDS * 1000)
    begin('adding')
    const signal = AbortSignal.timeout(LIMIT_SECONDS * 1000)
    for (let first = THRESHOLD - 1; first < rows && !signal.aborted; first += BATCH) {
      await add(data, index, first, Math.min(first + BATCH, rows))
    }
    begin('migrating')
    if (!(await finished(index, signal))) return
    begin('graph')
    await sleep(IDLE_SECONDS * 1000)
  })
  const { migrated } = index.migration
  await index.close()
  return { rows, migrated, phases, slices: slices(answered, start) }
}

/** Whether the migration comes to its end before the signal. */
async function finished(index: VectorIndex, signal: AbortSignal): Promise<boolean> {
  try {
    await index.migrate({ signal })
    return true
  } catch (error) {
    if (error === signal.reason) return false
    throw error
  }
}

/** By when they were sent, so that a query counts for what went on when it was asked. */
function slices(answered: readonly Answered[], start: number): Slice[] {
  const end = Math.max(...answered.map(({ sent }) => sent))
  const width = (end - start) / SLICES
  const took = Array.from({ length: SLICES }, (): number[] => [])
  for (const query of answered) took[Math.min(SLICES - 1, Math.floor((query.sent - start) / width))]!.push(query.took)
  return took.flatMap((values, i) => {
    if (values.length === 0) return []
    const [p50, p99, max] = [0.5, 0.99, 1].map((p) => percentile(values, p)) as [number, number, number]
    return [{ second: (i * width) / 1000, queries: values.length, p50, p99, max }]
  })
}
