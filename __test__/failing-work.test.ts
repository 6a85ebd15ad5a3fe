import test from 'ava'
import { runFixture } from './helpers/children.js'

interface Outcome {
  value?: unknown
  error?: object
}

interface Results {
  background: {
    migration: object
    stats: object
    lost: number[]
    add: Outcome
    migrate: Outcome
    stillLost: number[]
    close: Outcome
  }
  waited: { migrate: Outcome[]; migration: object; lost: number[] }
  commits: Record<string, { failed: Outcome; unchanged: boolean; remove: Outcome; lost: number[]; close: Outcome }>
}

const internal = { ours: true, name: 'VicinalError', code: 'ERR_INTERNAL' }
const inChunk = { ...internal, message: "internal error: the fail point 'chunk' was armed" }

// In a process of its own, because fail points are the process's.
test('what fails in the middle of a chunk or a commit is reported, and searches go on', async (t) => {
  const { code, stdout, stderr } = await runFixture('failing-work.mjs')
  t.is(code, 0, stderr)
  const { background, waited, commits } = JSON.parse(stdout) as Results

  t.deepEqual(background.migration, { state: 'paused', migrated: 100, total: 600, method: 'insert', error: inChunk })
  t.deepEqual(background.stats, inChunk)
  t.deepEqual(background.lost, [])
  t.like(background.add.error, internal)
  t.deepEqual(background.migrate.error, inChunk, 'the next migrate rejects with it')
  t.deepEqual(background.stillLost, [])
  t.deepEqual(background.close, {})

  for (const { error } of waited.migrate) t.deepEqual(error, inChunk)
  t.like(waited.migration, { state: 'paused', migrated: 0, total: 600 })
  t.deepEqual(waited.lost, [])

  for (const [write, { failed, unchanged, remove, lost, close }] of Object.entries(commits)) {
    t.like(failed.error, internal, write)
    t.true(unchanged, write)
    t.like(remove.error, internal, write)
    t.deepEqual(lost, [], write)
    t.deepEqual(close, {}, write)
  }
})
