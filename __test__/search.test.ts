import test from 'ava'
import { VectorIndex, type SearchOptions } from 'vicinal'
import { range, rowOf, vectors, wholeVectors } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'
import { nearest } from './helpers/naive.js'

const rows = wholeVectors(300, 4)

async function filled(): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions: 4 })
  await index.add(range(300), rows)
  return index
}

test('an empty index answers with nothing', async (t) => {
  const index = new VectorIndex({ dimensions: 4 })
  t.deepEqual(await index.search([1, 2, 3, 4]), [])
  t.deepEqual(index.searchSync([1, 2, 3, 4], { k: 5, exact: true }), [])
  t.deepEqual(await index.search([1, 2, 3, 4], { k: Infinity, maxDistance: 9 }), [])
})

test('k is 10 by default, and clamped to the size', async (t) => {
  const index = await filled()
  const query = rowOf(rows, 5, 4)
  t.deepEqual(await index.search(query), nearest('l2', rows, query, 10))
  for (const k of [1, 10, 299, 300, 301, 5_000, 2 ** 32, 2 ** 53 - 1]) {
    const expected = nearest('l2', rows, query, k)
    t.deepEqual(await index.search(query, { k }), expected)
    t.deepEqual(index.searchSync(query, { k }), expected)
    t.deepEqual(await index.searchById(5, { k }), nearest('l2', rows, query, k, (row) => row !== 5)) // prettier-ignore
  }
})

test('maxDistance is inclusive', async (t) => {
  const index = await filled()
  const query = rowOf(rows, 5, 4)
  const all = nearest('l2', rows, query, 300)
  for (const maxDistance of [0, 50, 50.5, 1e300, Infinity, -1, -Infinity]) {
    const within = all.filter(({ distance }) => distance <= maxDistance)
    t.deepEqual(await index.search(query, { k: 20, maxDistance }), within.slice(0, 20))
    t.deepEqual(index.searchSync(query, { k: 20, maxDistance }), within.slice(0, 20))
    t.deepEqual(await index.search(query, { k: Infinity, maxDistance }), within)
    t.deepEqual(index.searchSync(query, { k: Infinity, maxDistance }), within)
    t.deepEqual(await index.searchById(5, { k: Infinity, maxDistance }), within.filter(({ id }) => id !== 5)) // prettier-ignore
  }
})

test('a bound between two singles lets nothing beyond it pass', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add([1], [[0.1]])
  const { distance } = (await index.search([0]))[0]!
  t.is((await index.search([0], { maxDistance: distance })).length, 1)
  t.is((await index.search([0], { maxDistance: distance - 1e-14 })).length, 0)
})

test('under the inner product bounds are negative too', async (t) => {
  const index = new VectorIndex({ dimensions: 2, metric: 'ip' })
  await index.add([1, 2, 3], [[1, 0], [2, 0], [-1, 0]]) // prettier-ignore
  t.deepEqual(await index.search([1, 0], { maxDistance: -1 }), [{ id: 2, distance: -2 }, { id: 1, distance: -1 }]) // prettier-ignore
})

test('searchById leaves the row itself out, but not its equals', async (t) => {
  const index = new VectorIndex({ dimensions: 2, idType: 'string' })
  await index.add(['a', 'b', 'c'], [[1, 1], [1, 1], [2, 2]]) // prettier-ignore
  t.deepEqual(await index.searchById('b'), [{ id: 'a', distance: 0 }, { id: 'c', distance: 2 }]) // prettier-ignore
  await rejects(t, () => index.searchById('d'), 'ERR_INVALID_ARGUMENT', /id.*got .*d.*expected /)
  await index.remove('b')
  await rejects(t, () => index.searchById('b'), 'ERR_INVALID_ARGUMENT')
})

const wrong: [string, unknown[]][] = [
  ['k', [0, -1, 1.5, NaN, '10', null, true, 10n, -Infinity, Infinity, 2 ** 53]],
  ['ef', [0, -1, 1.5, NaN, '10', null, Infinity, {}]],
  ['recall', [0, -0.1, 1.5, NaN, Infinity, '0.9', null]],
  ['exact', [0, 1, 'true', null]],
  ['maxDistance', [NaN, '1', null, 1n]],
  ['signal', [null, {}, 'abort', 5]],
  ['filter', [null, 5, 'a', {}, new Map([[1, 1]]), true, Uint8Array.of(1)]],
]

for (const [name, values] of wrong) {
  test(`a wrong ${name} is refused`, async (t) => {
    const index = await filled()
    const query = [1, 2, 3, 4]
    for (const value of values) {
      const options = { [name]: value } as SearchOptions<number>
      const message = new RegExp(`${name}.*got .*expected `)
      await rejects(t, () => index.search(query, options), 'ERR_INVALID_ARGUMENT', message)
      await rejects(t, () => index.searchById(1, options), 'ERR_INVALID_ARGUMENT', message)
      await rejects(t, () => index.searchBatch([query], options), 'ERR_INVALID_ARGUMENT', message)
      throws(t, () => index.searchSync(query, options), 'ERR_INVALID_ARGUMENT', message)
    }
  })
}

test('unknown options are refused', async (t) => {
  const index = await filled()
  for (const options of [{ K: 1 }, { recal: 0.5 }, { topK: undefined }, { onProgress: () => 1 }] as never[]) {
    await rejects(t, () => index.search([1, 2, 3, 4], options), 'ERR_INVALID_ARGUMENT')
    throws(t, () => index.searchSync([1, 2, 3, 4], options), 'ERR_INVALID_ARGUMENT')
  }
  for (const options of [null, 5, 'k', [], new Float32Array(1)] as never[]) {
    await rejects(t, () => index.search([1, 2, 3, 4], options), 'ERR_INVALID_ARGUMENT')
    throws(t, () => index.searchSync([1, 2, 3, 4], options), 'ERR_INVALID_ARGUMENT')
  }
})

test('below the threshold answers are exact at any ef', async (t) => {
  const data = wholeVectors(1_999, 16)
  const index = new VectorIndex({ dimensions: 16, threshold: 2_000, ef: 1 })
  await index.add(range(1_999), data)
  for (let i = 0; i < 20; i++) {
    const query = wholeVectors(1, 16, 100 + i)
    t.deepEqual(await index.search(query, { ef: 1 }), nearest('l2', data, query, 10))
  }
})

test('exact answers are exact while rows migrate and in the graph', async (t) => {
  const data = wholeVectors(2_000, 12)
  const index = new VectorIndex({ dimensions: 12, threshold: 100, migration: 'manual', m: 4, efConstruction: 8, ef: 1 })
  await index.add(range(2_000), data)
  let differs = 0
  for (const waiting of [1_000, 0]) {
    while ((await index.migrateStep()) > waiting);
    for (let i = 0; i < 20; i++) {
      const query = wholeVectors(1, 12, 100 + i)
      const expected = nearest('l2', data, query, 10)
      t.deepEqual(await index.search(query, { exact: true }), expected)
      t.deepEqual(index.searchSync(query, { exact: true }), expected)
      const { ids } = await index.searchBatch(query, { exact: true })
      t.deepEqual([...ids], expected.map(({ id }) => id)) // prettier-ignore
      t.deepEqual(await index.search(query, { k: Infinity, maxDistance: 100 }), nearest('l2', data, query, 2_000).filter(({ distance }) => distance <= 100)) // prettier-ignore
      const approximate = await index.search(query, { ef: 1 })
      if (approximate.some((hit, rank) => hit.distance !== expected[rank]!.distance)) differs++
    }
  }
  t.true(differs > 0, 'the graph is so sparse that without `exact` answers are not')
})

test('ties come in the order of insertion', async (t) => {
  const index = new VectorIndex({ dimensions: 2, threshold: 60, migration: 'manual' })
  const ids = range(100).map((i) => (i * 37) % 101)
  await index.add(ids, new Float32Array(200).fill(1))
  const order = () => index.searchSync([0, 0], { k: 100, exact: true }).map(({ id }) => id)
  t.deepEqual(order(), ids)
  t.deepEqual(index.searchSync([0, 0], { k: 7 }).map(({ id }) => id), ids.slice(0, 7)) // prettier-ignore
  await index.migrate()
  t.deepEqual(order(), ids)
  t.deepEqual((await index.search([0, 0], { k: 100 })).map(({ id }) => id), ids) // prettier-ignore
  await index.upsert([ids[0]!], [[1, 1]])
  t.deepEqual(order(), [...ids.slice(1), ids[0]!])
})

test('among the hits of a graph ties come in the order of insertion', async (t) => {
  const data = wholeVectors(3_000, 4)
  const index = new VectorIndex({ dimensions: 4, threshold: 0 })
  await index.add(range(3_000), data)
  await index.migrate()
  for (let i = 0; i < 50; i++) {
    const hits = await index.search(vectors(1, 4, i).map((value) => Math.round(9 * value)), { k: 30 }) // prettier-ignore
    const inOrder = hits.every((hit, rank) => {
      const before = hits[rank - 1]
      return !before || before.distance < hit.distance || (before.distance === hit.distance && before.id < hit.id)
    })
    t.true(inOrder)
  }
})
