import test from 'ava'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { VectorIndex, type Id, type IdType, type IndexOptions } from 'vicinal'
import { runFixture } from './helpers/children.js'
import { contents } from './helpers/contents.js'
import { range, sleep, until, vectors } from './helpers/data.js'
import { temporaryDirectory } from './helpers/files.js'

const directory = await temporaryDirectory()
let files = 0

function newFile(): string {
  return path.join(directory, `${files++}.index`)
}

const ids: Record<IdType, (i: number) => Id> = {
  number: (i) => (i % 2 ? -i : Number.MAX_SAFE_INTEGER - i),
  bigint: (i) => (i % 2 ? BigInt(i) : 2n ** 64n - 1n - BigInt(i)),
  string: (i) => `${'é😀'.repeat(i % 5)}${i || ''}`,
}

function make(options: IndexOptions): VectorIndex {
  return new VectorIndex(options as { dimensions: number })
}

for (const idType of ['number', 'bigint', 'string'] as const) {
  for (const metric of ['l2', 'cosine', 'ip'] as const) {
    test(`an index of ${idType} ids under ${metric} comes back`, async (t) => {
      const dimensions = 19
      const index = make({ dimensions, metric, idType, threshold: 300, migration: 'manual', chunkSize: 250, ef: 33 })
      const named = (from: number, count: number): number[] => range(count, from).map(ids[idType]) as number[]
      await index.add(named(0, 1_000), vectors(1_000, dimensions))
      await index.migrateStep(600)
      await index.remove(named(100, 50))
      await index.upsert(named(140, 30), vectors(30, dimensions, 3))
      const file = newFile()
      await index.save(file)
      const loaded = await VectorIndex.load(file, { idType })
      t.like(loaded, { dimensions, metric, idType, dtype: 'f32', size: 960 })
      t.deepEqual(await contents(loaded), await contents(index))
      t.is(loaded.migration.state, 'paused')
      const queries = vectors(50, dimensions, 5)
      t.deepEqual(await loaded.searchBatch(queries, { k: 5, ef: 8 }), await index.searchBatch(queries, { k: 5, ef: 8 }))
      t.deepEqual(await loaded.searchBatch(queries), await index.searchBatch(queries), 'ef is kept')
      // Both go on from there.
      const wait = await index.migrateStep()
      t.is(await loaded.migrateStep(), wait, 'chunkSize is kept')
      for (const one of [index, loaded]) {
        await one.migrate()
        t.is(one.migration.state, 'graph')
        t.is((await one.verify({ ef: 100 })).unreachable, 0)
        t.is(await one.remove(named(0, 1_000)), 960)
      }
    })
  }
}

test('every option but threads is kept', async (t) => {
  const index = make({ dimensions: 4, m: 7, threshold: 50, seed: 3, efConstruction: 20, threads: 3, capacity: 100 })
  await index.add(range(20), vectors(20, 4))
  const file = newFile()
  await index.save(file)
  const loaded = await VectorIndex.load(file)
  t.is(loaded.stats().m, 7)
  t.is(loaded.stats().threads, make({ dimensions: 1 }).stats().threads)
  t.is((await VectorIndex.load(file, { threads: 2 })).stats().threads, 2)
  t.is(loaded.migration.state, 'exact')
  await loaded.add(range(30, 20), vectors(30, 4, 2))
  await loaded.migrate()
  t.is(loaded.migration.state, 'graph', 'threshold and automatic migration are kept')
  const never = make({ dimensions: 4, threshold: Infinity })
  await never.add(range(6_000), vectors(6_000, 4))
  await never.save(file)
  const still = await VectorIndex.load(file)
  t.is((await still.migrate()).vectors, 0)
})

test('the seed is kept: the same calls afterwards give the same graph', async (t) => {
  const index = make({ dimensions: 6, threshold: 0, seed: 12, migration: 'manual' })
  await index.add(range(300), vectors(300, 6))
  await index.migrate()
  const file = newFile()
  await index.save(file)
  const loaded = await VectorIndex.load(file)
  for (const one of [index, loaded]) {
    await one.add(range(300, 300), vectors(300, 6, 2))
    await one.migrate()
  }
  const { levels, meanDegree } = index.stats()
  t.like(loaded.stats(), { levels, meanDegree })
})

test('what was loaded migrates by itself if it is due', async (t) => {
  const index = make({ dimensions: 4, threshold: 100 })
  await index.add(range(99), vectors(99, 4))
  index.pauseMigration()
  await index.add(range(100, 99), vectors(100, 4, 2))
  const file = newFile()
  await index.save(file)
  const loaded = await VectorIndex.load(file)
  await until(() => loaded.migration.state === 'graph')
  t.like(loaded.migration, { state: 'graph', migrated: 199 })
})

test('an empty index comes back, and so does one that was cleared', async (t) => {
  const index = make({ dimensions: 3, idType: 'string', threshold: 0 })
  const file = newFile()
  await index.save(file)
  t.like(await VectorIndex.load(file), { size: 0, dimensions: 3, idType: 'string' })
  await index.add(['a'] as never, [[1, 2, 3]])
  await index.clear()
  await index.save(file)
  const loaded = await VectorIndex.load<string>(file)
  t.deepEqual(await loaded.search([1, 2, 3]), [])
  await loaded.add(['a'], [[1, 2, 3]])
  t.deepEqual(await loaded.search([1, 2, 3]), [{ id: 'a', distance: 0 }])
})

test('what was removed stays removed', async (t) => {
  const index = make({ dimensions: 4, threshold: 100 })
  await index.add(range(500), vectors(500, 4))
  await index.migrate()
  await index.remove(range(500))
  const file = newFile()
  await index.save(file)
  const loaded = await VectorIndex.load(file)
  t.is(loaded.size, 0)
  t.deepEqual(await loaded.search([0, 0, 0, 0]), [])
  t.false(loaded.has(5))
})

test('save holds exactly the writes called before it', async (t) => {
  const index = make({ dimensions: 2 })
  const [one, two, three] = [newFile(), newFile(), newFile()]
  await Promise.all([
    index.add(range(5_000), vectors(5_000, 2)),
    index.save(one),
    index.remove(range(4_999)),
    index.save(two),
    index.upsert([4_999, 7], [[1, 1], [2, 2]]), // prettier-ignore
    index.save(three),
    index.clear(),
  ])
  t.is(index.size, 0)
  t.deepEqual([...(await VectorIndex.load(one)).keys()], range(5_000))
  t.deepEqual([...(await VectorIndex.load(two)).keys()], [4_999])
  const loaded = await VectorIndex.load(three)
  t.deepEqual([...(await loaded.getMany([4_999, 7])).vectors], [1, 1, 2, 2])
})

test('save replaces the file that is there, and leaves nothing else', async (t) => {
  const place = await temporaryDirectory()
  const file = path.join(place, 'index')
  const large = make({ dimensions: 2 })
  await large.add(range(10_000), vectors(10_000, 2))
  await large.save(file)
  const small = make({ dimensions: 2 })
  await small.add([7], [[1, 1]])
  await small.save(file)
  t.deepEqual([...(await VectorIndex.load(file)).keys()], [7])
  await Promise.all(range(10).map((i) => (i % 2 ? large : small).save(file)))
  t.true([1, 10_000].includes((await VectorIndex.load(file)).size))
  t.deepEqual(await readdir(place), ['index'])
})

test('a save that is aborted leaves the file that was there', async (t) => {
  const place = await temporaryDirectory()
  const file = path.join(place, 'index')
  const index = make({ dimensions: 64 })
  await index.add(range(20_000), vectors(20_000, 64))
  await index.save(file)
  const before = await readFile(file)
  await index.clear()
  for (const delay of [0, 1, 3, 10]) {
    const controller = new AbortController()
    await index.upsert(range(20_000), vectors(20_000, 64, delay))
    const saving = index.save(file, { signal: controller.signal })
    await sleep(delay)
    controller.abort()
    const saved = await saving.then(
      () => true,
      () => false,
    )
    const after = await readFile(file)
    t.is(after.equals(before), !saved)
    t.deepEqual(await readdir(place), ['index'])
    if (saved) return
  }
})

test('a running migration does not disturb a save', async (t) => {
  const index = make({ dimensions: 16, threshold: 100, chunkSize: 50 })
  await index.add(range(3_000), vectors(3_000, 16))
  const saves = range(3).map(() => newFile())
  for (const file of saves) {
    await index.save(file)
    const loaded = await VectorIndex.load(file)
    t.is(loaded.size, 3_000)
    await loaded.migrate()
    t.is((await loaded.verify({ samples: 100 })).unreachable, 0)
    const { vectors: rows } = await loaded.getMany(range(3_000))
    t.deepEqual(rows, vectors(3_000, 16))
    await loaded.close()
  }
})

test('paths are strings: relative, with spaces, and of any character', async (t) => {
  const index = make({ dimensions: 1 })
  await index.add([1], [[1]])
  const file = path.relative(process.cwd(), path.join(directory, 'mit Leerzeichen – 日本 😀'))
  await index.save(file)
  t.true(existsSync(file))
  t.is((await VectorIndex.load(file)).size, 1)
})

test('a relative path is that of the moment of the call', async (t) => {
  const [here, elsewhere] = [await temporaryDirectory(), await temporaryDirectory()]
  const { stdout, stderr } = await runFixture('relative.mjs', [here, elsewhere])
  t.deepEqual(JSON.parse(stdout), { size: 1, here: ['index'], elsewhere: [] }, stderr)
})
