import test from 'ava'
import { VectorIndex, type IndexOptions } from 'vicinal'
import { range, sleep, until, vectors } from './helpers/data.js'
import { rejects, rejectsWith, throws } from './helpers/failures.js'

type Options = Omit<IndexOptions, 'idType' | 'dimensions'>

const dimensions = 48
const count = 4_000
const rows = vectors(count, dimensions)

/** Rows that are in the graph before: so many that `count` more are inserted, rather than built anew with all. */
const before = 64_000
const all = before + count
const old = vectors(before, dimensions, 2)

/**
 * An index with a graph, and `count` rows that wait to be inserted by hand and in small chunks, which takes long enough to
 * be met in the middle.
 */
async function slow(options: Options = {}): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions, threshold: 100, migration: 'manual', chunkSize: 20, ...options })
  await index.add(range(before, 1_000_000), old)
  await index.migrate()
  await index.add(range(count), rows)
  return index
}

/** Starts a migration that is stopped by `stop` as soon as it is seen at work. */
async function stoppedBy(index: VectorIndex, stop: () => void): Promise<unknown> {
  let stopped = false
  const run = index.migrate({
    onProgress: ({ done }) => {
      if (done > 0 && !stopped) {
        stopped = true
        stop()
      }
    },
  })
  return run
}

test('all callers join one run', async (t) => {
  const index = await slow()
  const runs = await Promise.all([index.migrate(), index.migrate(), index.migrate()])
  t.deepEqual(runs.map(({ vectors: moved }) => moved), [count, count, count]) // prettier-ignore
  t.is(index.migration.state, 'graph')
})

test('a signal rejects its own caller only', async (t) => {
  const index = await slow()
  const controller = new AbortController()
  const reason = new Error('not any more')
  const aborted = index.migrate({ signal: controller.signal })
  const stays = stoppedBy(index, () => controller.abort(reason))
  await rejectsWith(t, aborted, reason)
  t.like(await stays, { vectors: count })
  t.is(index.migration.state, 'graph')
})

test('a signal is heard in the middle of a chunk', async (t) => {
  const index = await slow({ chunkSize: 1_000_000 })
  const controller = new AbortController()
  const run = index.migrate({ signal: controller.signal })
  await sleep(30)
  const start = performance.now()
  controller.abort('now')
  await rejectsWith(t, run, 'now')
  // 50 ms are promised; the machine may be busy. The whole chunk takes several times as long.
  t.true(performance.now() - start < 150, `${performance.now() - start} ms`)
})

test('when nobody needs it the run stops and keeps what it moved', async (t) => {
  const index = await slow()
  const controller = new AbortController()
  const reason = new Error('nobody needs it')
  let seen = 0
  const run = index.migrate({
    signal: controller.signal,
    onProgress({ done }) {
      seen = done
      if (done > 0) controller.abort(reason)
    },
  })
  await rejectsWith(t, run, reason)
  await sleep(150)
  const { state, migrated } = index.migration
  t.is(state, 'paused')
  t.true(migrated >= before + seen && migrated < all, `${migrated} rows after ${seen}`)
  await sleep(100)
  t.is(index.migration.migrated, migrated)
  t.is((await index.migrate()).vectors, all - migrated)
})

test('the run that goes on by itself needs no caller', async (t) => {
  const index = await slow({ migration: 'auto' })
  const controller = new AbortController()
  const run = index.migrate({ signal: controller.signal })
  controller.abort()
  await rejectsWith(t, run, controller.signal.reason)
  await until(() => index.migration.state !== 'migrating')
  t.deepEqual(index.migration, { state: 'graph', migrated: all, total: all, method: 'bulk' })
})

test('pausing leaves the promise pending, resuming lets it go on', async (t) => {
  const index = await slow()
  let settled = false
  const run = stoppedBy(index, () => index.pauseMigration()).finally(() => (settled = true))
  await until(() => index.migration.state === 'paused' && index.migration.migrated > before)
  await sleep(100)
  const { migrated } = index.migration
  t.true(migrated > before && migrated < all)
  await sleep(100)
  t.deepEqual(index.migration, { state: 'paused', migrated, total: all, method: 'bulk' })
  t.false(settled)
  t.is((await index.search(rows.subarray(0, dimensions), { k: 1 }))[0]!.id, 0)
  index.resumeMigration()
  t.like(await run, { vectors: count })
  t.is(index.migration.state, 'graph')
})

test('migrate resumes what was paused, for all', async (t) => {
  const index = await slow()
  const first = stoppedBy(index, () => index.pauseMigration())
  await until(() => index.migration.state === 'paused' && index.migration.migrated > before)
  const second = await index.migrate()
  t.true(second.vectors > 0)
  t.like(await first, { vectors: count })
})

test('a caller can leave while the migration is paused', async (t) => {
  const index = await slow()
  const controller = new AbortController()
  const leaving = index.migrate({ signal: controller.signal })
  const staying = stoppedBy(index, () => index.pauseMigration())
  t.teardown(() => Promise.allSettled([index.close(), staying, leaving]))
  await until(() => index.migration.state === 'paused' && index.migration.migrated > before)
  await sleep(100)
  controller.abort('enough')
  await rejectsWith(t, Promise.race([leaving, sleep(1_000)]), 'enough')
  t.is(index.migration.state, 'paused')
  index.resumeMigration()
  t.like(await staying, { vectors: count })
})

test('a pause that is called after migrate pauses it', async (t) => {
  const index = await slow()
  const upsert = index.upsert(range(count), rows)
  const run = index.migrate()
  index.pauseMigration()
  await upsert
  await sleep(100)
  const { state, migrated } = index.migration
  t.is(state, 'paused')
  t.true(migrated < all)
  index.resumeMigration()
  t.like(await run, { vectors: count })
})

test('paused before there is anything to do, nothing starts by itself', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 100 })
  index.pauseMigration()
  index.pauseMigration()
  await index.add(range(200), rows.subarray(0, 200 * dimensions))
  await sleep(50)
  t.deepEqual(index.migration, { state: 'paused', migrated: 0, total: 200 })
  t.is(await index.migrateStep(50), 150, 'steps by hand go on')
  index.resumeMigration()
  await until(() => index.migration.state !== 'migrating')
  t.like(index.migration, { state: 'graph', migrated: 200 })
  index.resumeMigration()
})

test('resuming does not start what only hands start', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 100, migration: 'manual' })
  await index.add(range(count), rows)
  index.pauseMigration()
  t.deepEqual(index.migration, { state: 'paused', migrated: 0, total: count })
  index.resumeMigration()
  await sleep(50)
  t.deepEqual(index.migration, { state: 'exact', migrated: 0, total: count })
})

test('adding goes on during a migration, and the new rows are found', async (t) => {
  const index = await slow({ migration: 'auto' })
  for (let i = 0; i < 20; i++) {
    const id = count + i
    await index.add([id], [vectors(1, dimensions, id)])
    t.deepEqual((await index.search(vectors(1, dimensions, id), { k: 1 }))[0], { id, distance: 0 })
    await index.remove(i)
    t.not((await index.search(rows.subarray(i * dimensions, (i + 1) * dimensions), { k: 1 }))[0]!.id, i)
  }
  await index.migrate()
  t.deepEqual(index.migration, { state: 'graph', migrated: all, total: all, method: 'bulk' })
})

test('clear ends a migration that has nothing left', async (t) => {
  const index = await slow()
  const run = index.migrate()
  await index.clear()
  t.true((await run).vectors >= 0)
  t.deepEqual(index.migration, { state: 'exact', migrated: 0, total: 0 })
})

test('close rejects a pending migrate', async (t) => {
  const index = await slow()
  const running = index.migrate()
  const paused = await slow()
  const waiting = paused.migrate()
  paused.pauseMigration()
  const checks = [rejects(t, () => running, 'ERR_CLOSED'), rejects(t, () => waiting, 'ERR_CLOSED')]
  await Promise.all([index.close(), paused.close(), ...checks])
  await rejects(t, () => index.migrate(), 'ERR_CLOSED')
  await rejects(t, () => index.migrateStep(), 'ERR_CLOSED')
  throws(t, () => index.pauseMigration(), 'ERR_CLOSED')
  throws(t, () => index.resumeMigration(), 'ERR_CLOSED')
})
