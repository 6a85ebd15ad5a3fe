import test from 'ava'
import vm from 'node:vm'
import * as outer from 'vicinal'
import { range } from './helpers/data.js'
import { loadInRealm, newRealm } from './helpers/realm.js'

// jest runs tests in a realm of their own: there arrays, errors and promises are of other classes than out here,
// where the addon makes its own.

const realm = newRealm()
const inner = loadInRealm(realm)

/** Runs the body of an async function in the realm. */
function run<T>(body: string): Promise<T> {
  const start = vm.runInContext(`(async ({ VectorIndex, VicinalError }) => {${body}})`, realm) as (
    module: typeof inner,
  ) => Promise<T>
  return start(inner)
}

test('the realm has its own classes', (t) => {
  t.not(inner.VicinalError, outer.VicinalError)
  t.not(vm.runInContext('Error', realm), Error)
})

test('all of the API works in another realm', async (t) => {
  const result = await run<Record<string, unknown>>(`
    const index = new VectorIndex({ dimensions: 2, threshold: 4, migration: 'manual' })
    await index.add([1, 2], [[1, 1], new Float32Array([2, 2])])
    await index.upsert(new Int32Array([3, 4]), new Float64Array([3, 3, 4, 4]))
    index.addSync(new Float64Array([5]), new Uint8Array([5, 5]))
    const progress = []
    const { vectors: moved } = await index.migrate({ onProgress: (one) => progress.push(one) })
    const removed = await index.remove(1)
    const filter = await index.idSet([3, 4])
    const hits = await index.search([4, 4], { filter: new Set([2, 5]) })
    const batch = await index.searchBatch([[2, 2], [5, 5]], { k: 1 })
    const { vectors, found } = await index.getMany([3, 9])
    const result = {
      removed, moved, progress: progress.length > 0, hits, isArray: hits instanceof Array,
      sync: index.searchSync(new Float32Array([0, 0]), { k: 1, filter }),
      ids: Array.from(batch.ids), distances: Array.from(batch.distances), counts: Array.from(batch.counts),
      row: Array.from(index.get(2)), vectors: Array.from(vectors), found: Array.from(found),
      keys: [...index.keys()], state: index.migration.state, verified: await index.verify(),
    }
    await index.close()
    return result`)
  t.deepEqual(JSON.parse(JSON.stringify(result)), {
    removed: 1,
    moved: 5,
    progress: true,
    hits: [
      { id: 5, distance: 2 },
      { id: 2, distance: 8 },
    ],
    isArray: true,
    sync: [{ id: 3, distance: 18 }],
    ids: [2, 5],
    distances: [0, 0],
    counts: [1, 1],
    row: [2, 2],
    vectors: [3, 3, 0, 0],
    found: [1, 0],
    keys: [2, 3, 4, 5],
    state: 'graph',
    verified: { recall: 1, unreachable: 0, samples: 4 },
  })
})

const failures: Record<string, string> = {
  ERR_INVALID_ARGUMENT: 'index.search([1, 1], { k: 0 })',
  ERR_DIMENSION_MISMATCH: 'index.add([1], [[1]])',
  ERR_INVALID_VECTOR: 'index.add([1], [[1, NaN]])',
  ERR_DUPLICATE_ID: 'index.add([1, 1], [[1, 1], [2, 2]])',
  ERR_IO: "VectorIndex.load('/missing/index')",
}

for (const [code, call] of Object.entries(failures)) {
  test(`${code} is an error of the realm`, async (t) => {
    const checks = await run<unknown[]>(`
      const index = new VectorIndex({ dimensions: 2 })
      const error = await ${call}.catch((error) => error)
      return [error instanceof VicinalError, error instanceof Error, error.code, error.name]`)
    t.deepEqual([...checks], [true, true, code, 'VicinalError'])
  })
}

const thrown: Record<string, string> = {
  ERR_INVALID_ARGUMENT: 'index.has(0.5)',
  ERR_INVALID_VECTOR: 'index.searchSync([1, NaN])',
  ERR_DUPLICATE_ID: 'index.addSync([1, 1], [[1, 1], [2, 2]])',
}

for (const [code, call] of Object.entries(thrown)) {
  test(`${code} of a synchronous call is an error of the realm`, async (t) => {
    const checks = await run<unknown[]>(`
      const index = new VectorIndex({ dimensions: 2 })
      try { ${call} } catch (error) {
        return [error instanceof VicinalError, error instanceof Error, error.code, error.name]
      }`)
    t.deepEqual([...checks], [true, true, code, 'VicinalError'])
  })
}

test('an index of one copy of the package is none of the other’s', async (t) => {
  const filter = await new outer.VectorIndex({ dimensions: 1 }).idSet([1])
  const index = new inner.VectorIndex({ dimensions: 1 })
  await index.add(range(2), [[1], [2]])
  await t.throwsAsync(() => index.search([1], { filter }), { instanceOf: inner.VicinalError as never })
})
