import test from 'ava'
import { VectorIndex, type IndexOptions } from 'vicinal'
import { range, sleep, until, vectors, wholeVectors } from './helpers/data.js'
import { rejects } from './helpers/failures.js'
import { nearest } from './helpers/naive.js'

type Options = Omit<IndexOptions, 'idType' | 'dimensions'>

async function filled(count: number, options: Options): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions: 8, ...options })
  await index.add(range(count), vectors(count, 8))
  return index
}

function settled(index: VectorIndex): Promise<void> {
  return until(() => index.migration.state !== 'migrating')
}

test('below the threshold there is no graph and nothing to migrate', async (t) => {
  const index = await filled(99, { threshold: 100 })
  t.deepEqual(index.migration, { state: 'exact', migrated: 0, total: 99 })
  const { vectors: moved, seconds } = await index.migrate()
  t.is(moved, 0)
  t.true(seconds >= 0 && seconds < 1)
  t.is(await index.migrateStep(), 0)
  t.deepEqual(index.migration, { state: 'exact', migrated: 0, total: 99 })
  t.deepEqual(index.stats().levels, [])
})

test('by itself the migration starts at the threshold', async (t) => {
  const index = await filled(99, { threshold: 100 })
  await index.add([99], [range(8)])
  await settled(index)
  t.deepEqual(index.migration, { state: 'graph', migrated: 100, total: 100, method: 'bulk' })
  index.addSync(range(50, 100), vectors(50, 8, 2))
  await settled(index)
  t.deepEqual(index.migration, { state: 'graph', migrated: 150, total: 150, method: 'bulk' })
  await index.upsert([0, 1, 200], vectors(3, 8, 3))
  await settled(index)
  t.deepEqual(index.migration, { state: 'graph', migrated: 151, total: 151, method: 'bulk' })
  t.is((await index.migrate()).vectors, 0)
})

test('by hand it moves what it is told to, and returns what still waits', async (t) => {
  const index = await filled(300, { threshold: 100, migration: 'manual', chunkSize: 70 })
  await sleep(20)
  t.deepEqual(index.migration, { state: 'exact', migrated: 0, total: 300 }, 'nothing starts by itself')
  t.is(await index.migrateStep(10), 290)
  t.deepEqual(index.migration, { state: 'paused', migrated: 10, total: 300, method: 'insert' })
  t.is(index.stats().tail, 290)
  t.is(await index.migrateStep(), 220, 'chunkSize by default')
  t.is(await index.migrateStep(1), 219)
  await index.add([300], [range(8)])
  t.is(await index.migrateStep(10_000), 0)
  t.deepEqual(index.migration, { state: 'graph', migrated: 301, total: 301, method: 'insert' })
  t.is(await index.migrateStep(), 0)
  await index.add([301], [range(8)])
  t.is(index.migration.state, 'paused')
  t.is(index.stats().tail, 1)
})

test('steps take whole numbers from 1 on', async (t) => {
  const index = await filled(10, { threshold: 5, migration: 'manual' })
  for (const rows of [0, -1, 0.5, NaN, Infinity, '1', null, 1n] as never[]) {
    await rejects(t, () => index.migrateStep(rows), 'ERR_INVALID_ARGUMENT', /maxVectors.*got .*expected /)
  }
  t.is(await index.migrateStep(undefined), 0)
})

test('steps that are not awaited run in the order of the calls', async (t) => {
  const index = await filled(100, { threshold: 10, migration: 'manual' })
  const steps = [index.migrateStep(10), index.migrateStep(20), index.add([100], [range(8)]), index.migrateStep(30)]
  t.deepEqual(await Promise.all(steps), [90, 70, undefined, 41])
})

test('threshold 0 starts with the first vector, Infinity never', async (t) => {
  const at0 = await filled(1, { threshold: 0 })
  await at0.migrate()
  t.deepEqual(at0.migration, { state: 'graph', migrated: 1, total: 1, method: 'bulk' })
  const never = await filled(6_000, { threshold: Infinity })
  t.is((await never.migrate()).vectors, 0)
  t.is(await never.migrateStep(100), 0)
  t.deepEqual(never.migration, { state: 'exact', migrated: 0, total: 6_000 })
  t.is(new VectorIndex({ dimensions: 2, threshold: 0 }).migration.state, 'exact')
})

test('migrate brings all that waits into the graph', async (t) => {
  const index = await filled(1_000, { threshold: 100, migration: 'manual' })
  await index.migrateStep(200)
  const { vectors: moved, seconds } = await index.migrate()
  t.is(moved, 800)
  t.true(seconds > 0 && seconds < 60)
  t.is(index.migration.state, 'graph')
  t.is((await index.migrate()).vectors, 0)
})

test('counts are of live rows', async (t) => {
  const index = await filled(400, { threshold: 100, migration: 'manual' })
  await index.migrateStep(200)
  await index.remove([...range(50), ...range(20, 300)])
  t.deepEqual(index.migration, { state: 'paused', migrated: 150, total: 330, method: 'insert' })
  t.is(index.stats().tail, 180)
  t.is(await index.migrateStep(1), 179)
  t.is((await index.migrate()).vectors, 179)
  t.deepEqual(index.migration, { state: 'graph', migrated: 330, total: 330, method: 'bulk' })
  t.is((await index.verify()).unreachable, 0)
})

test('removals below the threshold make answers exact again and keep the graph', async (t) => {
  const rows = wholeVectors(1_000, 8)
  const index = new VectorIndex({ dimensions: 8, threshold: 900, m: 2, efConstruction: 2, ef: 1 })
  await index.add(range(1_000), rows)
  await index.migrate()
  const agree = async (keep: (row: number) => boolean) => {
    let equal = 0
    for (let i = 0; i < 20; i++) {
      const query = wholeVectors(1, 8, 500 + i)
      const hits = await index.search(query, { k: 3, ef: 1 })
      if (JSON.stringify(hits) === JSON.stringify(nearest('l2', rows, query, 3, keep))) equal++
    }
    return equal
  }
  t.true((await agree(() => true)) < 20, 'so sparse a graph does not always find the nearest')
  await index.remove(range(101))
  t.is(index.size, 899)
  t.is(await agree((row) => row > 100), 20)
  t.is(index.stats().levels[0], 1_000)
  t.is(index.migration.state, 'graph')
  await index.add(range(101), rows.subarray(0, 101 * 8))
  await index.migrate()
  t.deepEqual(index.migration, { state: 'graph', migrated: 1_000, total: 1_000, method: 'bulk' })
})

test('removing everything, the entry point included, leaves a graph that works', async (t) => {
  const index = await filled(500, { threshold: 10 })
  await index.migrate()
  t.is(await index.remove(range(500)), 500)
  t.deepEqual(await index.search(range(8)), [])
  t.deepEqual(await index.verify(), { recall: 1, unreachable: 0, samples: 0 })
  await index.add(range(500), vectors(500, 8, 7))
  await index.migrate()
  t.is((await index.verify({ ef: 100 })).unreachable, 0)
  t.is((await index.search(vectors(1, 8, 7), { k: 1 }))[0]!.id, 0)
})

test('equal rows do not hide the others', async (t) => {
  const index = new VectorIndex({ dimensions: 4, threshold: 100 })
  await index.add(range(3_000), new Float32Array(12_000).fill(1))
  await index.add([9_001, 9_002], [[1.5, 1, 1, 1], [50, 50, 50, 50]]) // prettier-ignore
  await index.migrate()
  for (const ef of [1, 10]) {
    t.is((await index.search([1.4, 1, 1, 1], { k: 1, ef }))[0]!.id, 9_001)
    t.is((await index.search([49, 50, 50, 50], { k: 1, ef }))[0]!.id, 9_002)
    t.is((await index.search([1, 1, 1, 1], { k: 1, ef }))[0]!.id, 0)
  }
  t.is((await index.verify()).unreachable, 0)
})

test('the same calls and the same seed give the same graph at any number of threads', async (t) => {
  const graphs = await Promise.all(
    [1, 2, 4].map(async (threads) => {
      const index = new VectorIndex({ dimensions: 8, threshold: 500, seed: 9, threads, chunkSize: 300 })
      for (const first of [0, 400, 1_000, 2_000]) {
        await index.add(range(600, first * 2), vectors(600, 8, first))
        await index.search(range(8))
      }
      await index.migrate()
      const { levels, meanDegree } = index.stats()
      const { ids, distances } = await index.searchBatch(vectors(200, 8, 77), { ef: 10 })
      return { levels, meanDegree, ids, distances }
    }),
  )
  t.deepEqual(graphs[1], graphs[0])
  t.deepEqual(graphs[2], graphs[0])
})

test('verify measures the index against itself', async (t) => {
  t.deepEqual(await new VectorIndex({ dimensions: 2 }).verify(), { recall: 1, unreachable: 0, samples: 0 })
  const index = await filled(2_000, { threshold: 100 })
  await index.migrate()
  const verified = await index.verify()
  t.is(verified.samples, 1_000)
  t.is(verified.unreachable, 0)
  t.true(verified.recall > 0.95 && verified.recall <= 1)
  t.is((await index.verify({ samples: 5_000, k: 3, ef: 50 })).samples, 2_000)
  for (const options of [{ samples: 0 }, { k: 0.5 }, { ef: '1' }, { sample: 5 }, null] as never[]) {
    await rejects(t, () => index.verify(options), 'ERR_INVALID_ARGUMENT')
  }
})
