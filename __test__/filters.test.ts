import test from 'ava'
import { VectorIndex, type Filter, type Hit } from 'vicinal'
import { range, wholeVectors } from './helpers/data.js'
import { rejects, rejectsWith, throws } from './helpers/failures.js'
import { nearest } from './helpers/naive.js'

const ids = (hits: readonly Hit<number>[]): number[] => hits.map(({ id }) => id)

test('a filter may be a Set, an array, a typed array or prepared', async (t) => {
  const rows = wholeVectors(500, 6)
  const index = new VectorIndex({ dimensions: 6 })
  await index.add(range(500), rows)
  const kept = range(100).map((i) => i * 5)
  const query = wholeVectors(1, 6, 9)
  const expected = nearest('l2', rows, query, 12, (row) => row % 5 === 0)
  const filters: Filter<number>[] = [
    kept,
    new Set(kept),
    Float64Array.from(kept),
    Int32Array.from(kept),
    Uint32Array.from(kept),
    [...kept, ...kept, -1, 99_999],
    await index.idSet(kept),
    await index.idSet(Float64Array.from(kept)),
  ]
  for (const filter of filters) {
    t.deepEqual(await index.search(query, { k: 12, filter }), expected)
    t.deepEqual(index.searchSync(query, { k: 12, filter }), expected)
    const { ids: found } = await index.searchBatch(query, { k: 12, filter })
    t.deepEqual([...found], ids(expected))
    const neighbors = nearest('l2', rows, rows.subarray(0, 6), 12, (row) => row % 5 === 0 && row !== 0)
    t.deepEqual(await index.searchById(0, { k: 12, filter }), neighbors)
  }
})

test('filters by bigints and strings', async (t) => {
  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  await bigints.add([1n, 2n, 3n], [[1], [2], [3]])
  for (const filter of [[3n], new Set([3n]), BigUint64Array.of(3n), await bigints.idSet([3n])]) {
    t.deepEqual(bigints.searchSync([0], { filter }), [{ id: 3n, distance: 9 }])
  }
  const strings = new VectorIndex({ dimensions: 1, idType: 'string' })
  await strings.add(['a', 'b'], [[1], [2]])
  for (const filter of [['b'], new Set(['b']), await strings.idSet(['b', 'c'])]) {
    t.deepEqual(await strings.search([0], { filter }), [{ id: 'b', distance: 4 }])
  }
})

test('a filter that nothing matches finds nothing', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add([1, 2], [[1], [2]])
  for (const filter of [[], new Set<number>(), [7], await index.idSet([])]) {
    t.deepEqual(await index.search([1], { filter }), [])
    t.deepEqual(index.searchSync([1], { filter, exact: true }), [])
  }
})

test('a prepared filter follows its index', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add(range(5), [[0], [1], [2], [3], [4]])
  const filter = await index.idSet([1, 3, 7])
  const found = () => ids(index.searchSync([0], { filter }))
  t.deepEqual(found(), [1, 3])
  await index.add([7, 8], [[7], [8]])
  t.deepEqual(found(), [1, 3, 7], 'an unknown id matches once it is added')
  await index.upsert([3, 2], [[30], [0]])
  t.deepEqual(found(), [1, 7, 3])
  await index.remove([1, 7])
  t.deepEqual(found(), [3])
  await index.add([1], [[100]])
  t.deepEqual(found(), [3, 1])
  await index.clear()
  t.deepEqual(found(), [])
  await index.add([3, 4, 1], [[3], [4], [1]])
  t.deepEqual(found(), [1, 3])
  index.addSync([7], [[0.5]])
  t.deepEqual(found(), [7, 1, 3])
})

test('a prepared filter holds the ids of the call', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add(range(5), [[0], [1], [2], [3], [4]])
  const wanted = [1, 2]
  const preparing = index.idSet(wanted)
  wanted[0] = 4
  const filter = await preparing
  t.deepEqual(ids(index.searchSync([0], { filter })), [1, 2])
})

test('a prepared filter of another index is refused', async (t) => {
  const [one, other] = [new VectorIndex({ dimensions: 1 }), new VectorIndex({ dimensions: 1 })]
  await one.add([1], [[1]])
  await other.add([1], [[1]])
  const filter = await other.idSet([1])
  await rejects(t, () => one.search([1], { filter }), 'ERR_INVALID_ARGUMENT', /filter.*got .*expected /)
  await rejects(t, () => one.searchById(1, { filter }), 'ERR_INVALID_ARGUMENT', /filter/)
  await rejects(t, () => one.searchBatch([[1]], { filter }), 'ERR_INVALID_ARGUMENT', /filter/)
  throws(t, () => one.searchSync([1], { filter }), 'ERR_INVALID_ARGUMENT', /filter/)
  await other.close()
  await rejects(t, () => one.search([1], { filter }), 'ERR_INVALID_ARGUMENT', /filter/)
})

test('filters of every size on a graph: few matches exactly, many by the graph', async (t) => {
  const count = 6_000
  const rows = wholeVectors(count, 8)
  const index = new VectorIndex({ dimensions: 8, threshold: 1_000 })
  await index.add(range(count), rows)
  await index.migrate()
  for (const every of [1, 2, 3, 10, 50, 1_000]) {
    const filter = await index.idSet(range(Math.ceil(count / every)).map((i) => i * every))
    let found = 0
    for (let i = 0; i < 20; i++) {
      const query = wholeVectors(1, 8, 100 + i)
      const expected = nearest('l2', rows, query, 10, (row) => row % every === 0)
      const hits = await index.search(query, { filter, ef: 100 })
      t.is(hits.length, expected.length, `every ${every}`)
      t.true(hits.every(({ id }) => id % every === 0))
      found += hits.filter(({ distance }) => distance <= expected.at(-1)!.distance).length / expected.length
      t.deepEqual(await index.search(query, { filter, exact: true }), expected)
    }
    t.true(found / 20 >= (every >= 50 ? 1 : 0.95), `recall ${found / 20} of one in ${every}`)
  }
})

test('a filter finds rows that lie all on one side of the data', async (t) => {
  const count = 4_000
  const rows = Float32Array.from({ length: count * 2 }, (_, i) => (i % 2 ? 0 : i / 2))
  const index = new VectorIndex({ dimensions: 2, threshold: 100 })
  await index.add(range(count), rows)
  await index.migrate()
  const filter = await index.idSet(range(2_000, 2_000))
  t.deepEqual(ids(await index.search([0, 0], { filter, k: 5, ef: 10 })), range(5, 2_000))
})

test('what a filter of the caller throws comes through as it is', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add([1], [[1]])
  for (const reason of [new TypeError('mine'), 'a string', undefined]) {
    const filter = new Set([1])
    filter[Symbol.iterator] = () => {
      throw reason
    }
    await rejectsWith(t, index.search([1], { filter }), reason)
    await rejectsWith(t, index.searchById(1, { filter }), reason)
    await rejectsWith(t, index.searchBatch([[1]], { filter }), reason)
    const sync = async (): Promise<unknown> => index.searchSync([1], { filter })
    await rejectsWith(t, sync(), reason)
  }
})

test('what is wrong with a filter is said of the filter', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  const wrong: [unknown, RegExp][] = [
    [Float64Array.of(0.5), /^filter: got 0\.5 in row 0, expected a safe integer/],
    [[0.5], /^filter: got 0\.5 in row 0, expected a safe integer/],
    [new Map([[1, 2]]), /^filter: got an object of class Map, expected .*array of numbers.*Set or an IdSet/],
    [{}, /^filter: got an object of class Object, expected .*Set or an IdSet/],
    ['x', /^filter: got "x", expected .*Set or an IdSet/],
  ]
  for (const [filter, message] of wrong) {
    await rejects(t, () => index.search([1], { filter: filter as never }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.searchBatch([[1]], { filter: filter as never }), 'ERR_INVALID_ARGUMENT', message)
    throws(t, () => index.searchSync([1], { filter: filter as never }), 'ERR_INVALID_ARGUMENT', message)
  }
  const strings = new VectorIndex({ dimensions: 1, idType: 'string' })
  const lone = { filter: ['a', '\ud800'] }
  const message = /^filter: got .* in row 1, expected well-formed/
  await rejects(t, () => strings.search([1], lone), 'ERR_INVALID_ARGUMENT', message)
  throws(t, () => strings.searchSync([1], lone), 'ERR_INVALID_ARGUMENT', message)
  await rejects(t, () => strings.idSet(['\ud800']), 'ERR_INVALID_ARGUMENT', /^ids: /)
})
