import test from 'ava'
import { runFixture } from './helpers/children.js'
import { temporaryDirectory } from './helpers/files.js'

interface Outcome {
  ok: boolean
  isPromise: boolean
  ours?: boolean
  name?: string
  code?: string
  message?: string
}

interface Result {
  failed: Outcome
  unchanged: boolean
  add: Outcome
  addSync: Outcome
  remove: Outcome
  stillUnchanged: boolean
  close: Outcome
}

const internal = { ok: false, ours: true, name: 'VicinalError', code: 'ERR_INTERNAL' }

/** Calls that know no index, so that none is broken by them. */
const free = new Set(['new', 'load'])
const sync = new Set(['new', 'addSync', 'searchSync', 'get', 'has', 'keys', 'stats'])

// In a process of its own, because fail points are the process's.
test('a panic anywhere is ERR_INTERNAL, the index stays as it was, reads go on and writes are refused', async (t) => {
  const { code, signal, stdout, stderr } = await runFixture('internal.mjs', [await temporaryDirectory()])
  t.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
  const results = Object.entries(JSON.parse(stdout) as Record<string, Result>)
  t.is(results.length, 21)
  for (const [name, { failed, unchanged, add, addSync, remove, stillUnchanged, close }] of results) {
    t.like(failed, { ...internal, isPromise: !sync.has(name) }, name)
    t.regex(failed.message!, /fail point/, name)
    t.true(unchanged, name)
    t.like(close, { ok: true }, name)
    if (free.has(name)) {
      t.deepEqual([add.ok, remove.ok], [true, true], name)
      continue
    }
    t.like(add, internal, name)
    t.like(addSync, internal, name)
    t.like(remove, internal, name)
    t.true(stillUnchanged, name)
  }
})
