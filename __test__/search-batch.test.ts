import test from 'ava'
import { VectorIndex } from 'vicinal'
import { range, rowOf, wholeVectors } from './helpers/data.js'
import { rejects } from './helpers/failures.js'

test('the answer to query i starts at i · k, and is that of a single search', async (t) => {
  const rows = wholeVectors(1_500, 8)
  const queries = wholeVectors(100, 8, 2)
  for (const threshold of [Infinity, 100]) {
    const index = new VectorIndex({ dimensions: 8, threshold })
    await index.add(range(1_500), rows)
    await index.migrate()
    for (const k of [1, 7, 40]) {
      const { ids, distances, counts } = await index.searchBatch(queries, { k })
      t.true(ids instanceof Float64Array && distances instanceof Float32Array && counts instanceof Uint32Array)
      t.deepEqual([ids.length, distances.length, counts.length], [100 * k, 100 * k, 100])
      for (let i = 0; i < 100; i++) {
        const hits = index.searchSync(rowOf(queries, i, 8), { k })
        const answer = hits.map((_, rank) => ({ id: ids[i * k + rank], distance: distances[i * k + rank] }))
        t.deepEqual(answer as object, hits)
        t.is(counts[i], k)
      }
    }
  }
})

test('what is not real is 0, 0n or an empty string at distance Infinity', async (t) => {
  const queries = [[0], [5]]
  const blanks = { number: 0, bigint: 0n, string: '' } as const
  const ids = { number: [1, 2], bigint: [1n, 2n], string: ['1', '2'] } as const
  for (const idType of ['number', 'bigint', 'string'] as const) {
    const index = new VectorIndex({ dimensions: 1, idType } as { dimensions: number })
    const none = await index.searchBatch(queries, { k: 2 })
    t.deepEqual(
      [...none.ids],
      Array.from({ length: 4 }, () => blanks[idType]),
    )
    t.deepEqual([...none.counts], [0, 0])
    await index.add(ids[idType] as never, [[0], [3]])
    const { ids: found, distances, counts } = await index.searchBatch(queries, { k: 3 })
    const [one, two] = ids[idType]
    t.deepEqual([...found], [one, two, blanks[idType], two, one, blanks[idType]])
    t.deepEqual([...distances], [0, 9, Infinity, 4, 25, Infinity])
    t.deepEqual([...counts], [2, 2])
    t.is(found.constructor, { number: Float64Array, bigint: BigUint64Array, string: Array }[idType])
  }
})

test('counts follow maxDistance and the filter, row by row', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add(range(10), range(10).map((i) => [i])) // prettier-ignore
  const bounded = await index.searchBatch([[0], [5], [100]], { k: 4, maxDistance: 1 })
  t.deepEqual([...bounded.counts], [2, 3, 0])
  t.deepEqual([...bounded.ids], [0, 1, 0, 0, 5, 4, 6, 0, 0, 0, 0, 0])
  const filtered = await index.searchBatch([[0], [9]], { k: 3, filter: [8, 3] })
  t.deepEqual([...filtered.counts], [2, 2])
  t.deepEqual([...filtered.ids], [3, 8, 0, 8, 3, 0])
})

test('k is 10 by default', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add(range(50), range(50).map((i) => [i])) // prettier-ignore
  const { ids } = await index.searchBatch([[0]])
  t.deepEqual([...ids], range(10))
})

test('a batch has rows of one length, so its k is finite', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add([1], [[1]])
  await rejects(
    t,
    () => index.searchBatch([[1]], { k: Infinity, maxDistance: 1 }),
    'ERR_INVALID_ARGUMENT',
    /k.*Infinity/,
  )
})

test('large batches come back whole', async (t) => {
  const index = new VectorIndex({ dimensions: 2, idType: 'string' })
  await index.add(range(100).map(String), wholeVectors(100, 2))
  const queries = wholeVectors(5_000, 2, 3)
  const { ids, counts } = await index.searchBatch(queries, { k: 20 })
  t.is(ids.length, 100_000)
  t.true(counts.every((count) => count === 20))
  const { ids: again } = await index.searchBatch(rowOf(queries, 4_999, 2), { k: 20 })
  t.deepEqual((ids as string[]).slice(-20), again as string[])
})
