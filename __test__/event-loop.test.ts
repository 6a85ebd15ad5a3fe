import test from 'ava'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { VectorIndex } from 'vicinal'
import { range, vectors } from './helpers/data.js'

const dimensions = 128
const batch = 1_000

function milliseconds(nanoseconds: number): number {
  return nanoseconds / 1e6
}

test('the event loop stays free while rows are added, migrate and are searched', async (t) => {
  const rows = vectors(batch, dimensions)
  const index = new VectorIndex({ dimensions, threshold: 5_000 })
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  for (let first = 0; first < 20_000; first += batch) {
    await index.add(range(batch, first), rows.map((value) => value + first)) // prettier-ignore
    await index.search(rows.subarray(0, dimensions))
  }
  await index.migrate()
  delay.disable()
  t.log(`p99 ${milliseconds(delay.percentile(99)).toFixed(1)} ms, longest ${milliseconds(delay.max).toFixed(1)} ms`)
  // Far above what a machine of its own shows; below what work on this thread would cost.
  t.true(milliseconds(delay.percentile(99)) < 50, `${milliseconds(delay.percentile(99))} ms`)
  t.is(index.migration.state, 'graph')
})
