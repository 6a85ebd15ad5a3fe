import test from 'ava'
import { VectorIndex, type Metric } from 'vicinal'
import { range, rowOf, vectors, wholeVectors } from './helpers/data.js'
import { areAsNear, distance, nearest } from './helpers/naive.js'

const metrics: Metric[] = ['l2', 'cosine', 'ip']

for (const metric of metrics) {
  test(`${metric}: answers of small indexes are those of plain JavaScript`, async (t) => {
    for (const dimensions of [1, 2, 3, 7, 16, 31, 64, 128, 385]) {
      const rows = vectors(200, dimensions, dimensions)
      const index = new VectorIndex({ dimensions, metric })
      await index.add(range(200), rows)
      for (let i = 0; i < 5; i++) {
        const query = vectors(1, dimensions, 1_000 + i)
        const distanceTo = (id: number) => distance(metric, query, rowOf(rows, id, dimensions))
        const expected = nearest(metric, rows, query, 15)
        areAsNear(t, await index.search(query, { k: 15 }), expected, distanceTo)
        areAsNear(t, index.searchSync(query, { k: 15 }), expected, distanceTo)
      }
    }
  })
}

for (const metric of ['l2', 'ip'] as const) {
  test(`${metric}: whole numbers give exact distances`, async (t) => {
    const rows = wholeVectors(300, 24)
    const index = new VectorIndex({ dimensions: 24, metric })
    await index.add(range(300), rows)
    for (let i = 0; i < 10; i++) {
      const query = wholeVectors(1, 24, 50 + i)
      t.deepEqual(index.searchSync(query, { k: 300 }), nearest(metric, rows, query, 300))
    }
  })
}

test('smaller is nearer, and the values are those of the definitions', async (t) => {
  const expected = { l2: [0, 25], ip: [-25, 0], cosine: [0, 1] }
  for (const metric of metrics) {
    const index = new VectorIndex({ dimensions: 2, metric })
    await index.add([1, 2], metric === 'l2' ? [[3, 4], [0, 0]] : [[3, 4], [-4, 3]]) // prettier-ignore
    const hits = await index.search([3, 4])
    t.deepEqual(hits.map(({ id }) => id), [1, 2]) // prettier-ignore
    for (const [rank, hit] of hits.entries()) t.true(Math.abs(hit.distance - expected[metric][rank]!) < 1e-6)
  }
})

test('cosine stays in 0 … 2 and does not depend on lengths', async (t) => {
  const index = new VectorIndex({ dimensions: 3, metric: 'cosine' })
  const rows = vectors(100, 3)
  await index.add(range(100), rows)
  await index.add(range(100, 100), rows.map((value) => -7 * value)) // prettier-ignore
  for (let id = 0; id < 100; id++) {
    const hits = await index.search(rowOf(rows, id, 3), { k: 200 })
    t.true(hits.every((hit) => hit.distance >= 0 && hit.distance <= 2))
    t.true(hits[0]!.distance < 1e-6)
    t.true(hits.find((hit) => hit.id === 100 + id)!.distance > 2 - 1e-6)
  }
})

test('rows under cosine are returned as they were given', async (t) => {
  const index = new VectorIndex({ dimensions: 2, metric: 'cosine' })
  await index.add([1], [[3, 4]])
  t.deepEqual(index.get(1), Float32Array.of(3, 4))
})

test('lengths that single precision can hardly square give sensible cosines', async (t) => {
  for (const scale of [1e-38, 1e-25, 1e-18, 1e18, 1e25, 1e38]) {
    const index = new VectorIndex({ dimensions: 3, metric: 'cosine' })
    const scaled = [[1, 1, 0], [1, 0, 0], [-1, 0, 1]].map((row) => row.map((value) => value * scale)) // prettier-ignore
    await index.add([0, 1, 2], scaled)
    const hits = await index.search([scale, 0, 0])
    const expected = [0, 1 - Math.SQRT1_2, 1 + Math.SQRT1_2]
    t.deepEqual(hits.map(({ id }) => id), [1, 0, 2], `× ${scale}`) // prettier-ignore
    for (const [rank, hit] of hits.entries()) t.true(Math.abs(hit.distance - expected[rank]!) < 1e-4, `× ${scale}`)
  }
})

test('distances are finite or +Infinity, never NaN', async (t) => {
  const big = 3e38
  const rows = [[big, big], [-big, big], [big, -big], [1, 0], [-big, -big]] // prettier-ignore
  for (const metric of metrics) {
    const index = new VectorIndex({ dimensions: 2, metric })
    await index.add(range(5), rows)
    for (const query of rows) {
      for (const hits of [await index.search(query), index.searchSync(query)]) {
        t.is(hits.length, 5, metric)
        t.true(hits.every((hit) => hit.distance > -Infinity && hit.distance <= Infinity), `${metric} of ${query}`) // prettier-ignore
        t.deepEqual(hits.map((hit) => hit.distance), hits.map((hit) => hit.distance).sort((a, b) => a - b)) // prettier-ignore
      }
      const { distances } = await index.searchBatch([query], { k: 5 })
      t.true(distances.every((one) => one > -Infinity && one <= Infinity), `${metric} of ${query}`) // prettier-ignore
    }
  }
})
