import test from 'ava'
import path from 'node:path'
import { VectorIndex, type IndexOptions } from 'vicinal'
import { runFixture } from './helpers/children.js'
import { contents } from './helpers/contents.js'
import { range, rowOf, sleep, until, vectors } from './helpers/data.js'
import { rejects, rejectsWith } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'
import { readPhotos } from './helpers/photos.js'

const photos = await readPhotos()
const { rows, dimensions, count } = photos
const directory = await temporaryDirectory()

type Options = Omit<IndexOptions, 'idType' | 'dimensions'>

const rowsOf = (ids: readonly number[]): Float32Array => {
  const some = new Float32Array(ids.length * dimensions)
  for (const [row, id] of ids.entries()) some.set(rowOf(rows, id, dimensions), row * dimensions)
  return some
}

/** All photos in a graph, of which those are removed that do not stay. */
async function removed(stays: readonly number[], options: Options = {}): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions, migration: 'manual', ...options })
  await index.add(range(count), rows)
  await index.migrate()
  const staying = new Set(stays)
  await index.remove(range(count).filter((id) => !staying.has(id)))
  return index
}

/** Recall@10 of the first 500 queries, by what an exact search finds. */
async function recall(index: VectorIndex, ef: number): Promise<number> {
  const queries = photos.queries.subarray(0, 500 * dimensions)
  const exact = await index.searchBatch(queries, { exact: true })
  const found = await index.searchBatch(queries, { ef })
  const hits = Array.from(found.distances, (distance, place) => distance <= exact.distances[place - (place % 10) + 9]!)
  return hits.filter(Boolean).length / hits.length
}

for (const share of [0.5, 0.9]) {
  test(`with ${share} of the rows removed, the rest is as in a fresh index`, async (t) => {
    const stays = range(count).filter((id) => (id * 7_919) % 1_000 >= share * 1_000)
    const index = await removed(stays, { threshold: 1_000 })
    const before = index.stats()
    t.is(before.removed, count - stays.length)
    await index.compact()
    t.deepEqual([...index.keys()], stays, 'in insertion order')
    t.deepEqual((await index.getMany(stays)).vectors, rowsOf(stays))
    t.is(index.has(0), stays.includes(0))

    const fresh = new VectorIndex({ dimensions, migration: 'manual', threshold: 1_000 })
    await fresh.add(stays, rowsOf(stays))
    await fresh.migrate()
    const { live, removed: left, tail, bytes, levels, migration } = index.stats()
    t.deepEqual({ live, left, tail }, { live: stays.length, left: 0, tail: 0 })
    t.deepEqual([levels, migration], [fresh.stats().levels, fresh.stats().migration])
    for (const part of ['vectors', 'codes', 'links'] as const) {
      t.is(bytes[part], fresh.stats().bytes[part], part)
      t.true(bytes[part] < before.bytes[part] * (1 - share + 0.05), `${part}: ${bytes[part]} of ${before.bytes[part]}`)
    }
    t.true(bytes.total < before.bytes.total * (1 - share + 0.1), `${bytes.total} of ${before.bytes.total}`)
    for (const ef of [10, 24, 64]) {
      const [mine, other] = [await recall(index, ef), await recall(fresh, ef)]
      t.true(mine >= other - 0.005, `${mine} at ef ${ef}, fresh ${other}`)
    }
    t.is((await index.verify({ samples: 100 })).unreachable, 0)

    // The same file, byte for byte, and what is written afterwards is found.
    const place = path.join(directory, `compacted ${share}`)
    await index.save(place)
    t.is((await VectorIndex.load(place)).size, stays.length)
    await index.upsert(range(10), rows.subarray(0, 10 * dimensions))
    for (const id of range(10)) t.is((await index.search(rowOf(rows, id, dimensions), { k: 1 }))[0]!.id, id)
  })
}

test('searches, writes and filters go on meanwhile', async (t) => {
  const index = await removed(range(count).slice(count / 2), { migration: 'auto', threshold: 1_000 })
  const set = await index.idSet(range(100, count - 100))
  const state = { compacting: true }
  const done = index.compact().finally(() => (state.compacting = false))
  // Photos that nobody has, but like others: what is like nothing else a graph may miss.
  const noise = vectors(100 * dimensions, 1, 9)
  const next = rows.subarray(0, 100 * dimensions).map((value, place) => value + 5 * noise[place]!)
  let [rounds, found] = [0, 0]
  for (; state.compacting || rounds < 5; rounds++) {
    const id = rounds % 50
    await index.upsert([id, count - 1 - id], next.subarray(2 * id * dimensions, (2 * id + 2) * dimensions))
    const query = rowOf(next, 2 * id, dimensions)
    t.is((await index.search(query, { k: 1, exact: true }))[0]!.id, id)
    found += Number((await index.search(query, { k: 1 }))[0]!.id === id)
    const mine = { k: 100, filter: set, ef: 200 }
    t.is((await index.search(rowOf(rows, count - 60, dimensions), mine)).length, 100)
    await index.remove(id)
    t.false(index.has(id))
    await sleep(1)
  }
  await done
  t.true(rounds >= 5)
  t.true(found >= 0.98 * rounds, `${found} of ${rounds} found as soon as they were written`)
  const inner = await index.search(rowOf(next, 0, dimensions), { filter: set })
  t.true(inner.length === 10 && inner.every(({ id }) => id >= count - 100))
  t.true(index.stats().removed < 10 * rounds)
  t.deepEqual([index.size, index.migration.error], [count / 2, undefined])
  await index.migrate()
  t.is((await index.verify({ samples: 100 })).unreachable, 0)
})

test('it takes away what was removed before the call', async (t) => {
  const index = new VectorIndex({ dimensions: 2, migration: 'manual' })
  const calls = [
    index.add(range(3_000), vectors(3_000, 2)),
    index.remove(range(2_000)),
    index.compact(),
    index.remove(range(10, 2_000)),
  ]
  await Promise.all(calls)
  t.is(index.size, 990)
  t.true(index.stats().removed <= 10)
})

test('it comes by itself when an eighth is removed, unless the migration is by hand', async (t) => {
  for (const migration of ['auto', 'manual'] as const) {
    const index = new VectorIndex({ dimensions, migration, threshold: 1_000 })
    await index.add(range(count), rows)
    await index.migrate()
    await index.remove(range(count / 8 - 1))
    await sleep(50)
    t.is(index.stats().removed, count / 8 - 1)
    await index.remove(count / 8 - 1)
    if (migration === 'auto') await until(() => index.stats().removed === 0)
    else await sleep(100)
    t.is(index.stats().removed, migration === 'auto' ? 0 : count / 8)
    t.is((await index.verify({ samples: 50 })).unreachable, 0)
  }
})

test('beside steady writes what is removed stays in proportion to what is live', async (t) => {
  const live = 5_000
  const index = new VectorIndex({ dimensions, threshold: 1_000, threads: 1 })
  await index.add(range(live), rows.subarray(0, live * dimensions))
  await index.migrate()
  let most = 0
  for (let round = 0; round < 120; round++) {
    const ids = range(500, live + round * 500)
    await index.add(ids, rows.subarray(0, ids.length * dimensions))
    await index.remove(ids)
    most = Math.max(most, index.stats().removed)
  }
  // It is counted while the 500 are there too, and before they go.
  t.true(most <= 4 * (live + 500) + 500, `${most} removed rows`)
  t.is(index.size, live)
})

// These two by themselves and on one thread, so that the compaction is not done before it is stopped.
test.serial('aborted in its midst it has changed nothing', async (t) => {
  const index = await removed(range(count).slice(count / 10), { threads: 1 })
  const before = [await contents(index), index.stats(), index.migration]
  for (const pause of [0, 1, 5, 20, 60]) {
    const controller = new AbortController()
    const reason = new Error('not any more')
    const run = index.compact({ signal: controller.signal })
    await sleep(pause)
    const start = performance.now()
    controller.abort(reason)
    await rejectsWith(t, run, reason)
    // 50 ms are promised; the machine may be busy.
    t.true(performance.now() - start < 150, `${performance.now() - start} ms`)
  }
  const error = new Error('the listener fails')
  const throws = ({ phase, done, total }: { phase: string; done: number; total: number }): void => {
    if (phase === 'swap' && done === total) throw error
  }
  await rejectsWith(t, index.compact({ onProgress: throws }), error)
  t.deepEqual([await contents(index), index.stats(), index.migration], before)
  await index.compact()
  t.is(index.stats().removed, 0)
})

test.serial('close ends it', async (t) => {
  const index = await removed(range(count).slice(count / 10), { threads: 1 })
  const run = rejects(t, () => index.compact(), 'ERR_CLOSED', /closed/)
  await sleep(5)
  await index.close()
  await run
  await rejects(t, () => index.compact(), 'ERR_CLOSED', /closed/)
})

test('an opened index keeps what it has, before and after a checkpoint, and gives its room back', async (t) => {
  const place = path.join(directory, 'opened')
  const options = { dimensions, threshold: 1_000, migration: 'manual' } as const
  let index = await VectorIndex.open(place, options)
  await index.add(range(count), rows)
  await index.migrate()
  await index.remove(range(count / 2))
  await index.checkpoint()
  const before = await contents(index)
  await index.compact()
  await index.upsert([count - 1], rows.subarray(0, dimensions))
  const after = await contents(index)
  t.notDeepEqual(after, before)
  const reader = await VectorIndex.open(place, { readOnly: true })
  t.deepEqual(await contents(reader), after)
  await rejects(t, () => reader.compact(), 'ERR_READ_ONLY', /./)
  await reader.close()
  await index.close()
  index = await VectorIndex.open(place, options)
  t.deepEqual(await contents(index), after)
  const { removed: left, tail, migration } = index.stats()
  t.deepEqual({ left, tail, state: migration.state }, { left: 1, tail: 1, state: 'paused' })
  await index.close()
})

test('a panic in its midst leaves what was there, and the index refuses writes', async (t) => {
  const { code, stdout, stderr } = await runFixture('compact-panic.mjs')
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), { compact: 'ERR_INTERNAL', remove: 'ERR_INTERNAL', same: true, found: 1_999 })
})
