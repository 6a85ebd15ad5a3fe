import test from 'ava'
import path from 'node:path'
import { VectorIndex, type Dtype, type Metric, type Vectors } from 'vicinal'
import { contents } from './helpers/contents.js'
import { random, range, vectors, wholeVectors } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'
import { areAsNear, distance, nearest } from './helpers/naive.js'
import { readPhotos } from './helpers/photos.js'

const dtypes: Dtype[] = ['f32', 'f16', 'i8', 'u8']
const metrics: Metric[] = ['l2', 'cosine', 'ip']
const directory = await temporaryDirectory()

const bytes = [1, 2, 3, 127, 0, 64]
const inputs: Record<string, Vectors> = {
  Uint8Array: Uint8Array.from(bytes),
  Int8Array: Int8Array.from(bytes),
  Float32Array: Float32Array.from(bytes),
  Float64Array: Float64Array.from(bytes),
  'arrays of numbers': [[1, 2], [3, 127], [0, 64]], // prettier-ignore
  'arrays of all kinds': [Uint8Array.of(1, 2), [3, 127], Int8Array.of(0, 64)],
}

for (const dtype of dtypes) {
  for (const [name, input] of Object.entries(inputs)) {
    test(`${dtype} from ${name}`, async (t) => {
      for (const write of ['add', 'upsert', 'addSync'] as const) {
        const index = new VectorIndex({ dimensions: 2, dtype })
        t.is(index.dtype, dtype)
        await index[write]([10, 20, 30], input)
        t.deepEqual((await index.getMany([10, 20, 30])).vectors, Float32Array.from(bytes), write)
        t.deepEqual(index.get(20), Float32Array.of(3, 127))
        t.deepEqual(await index.search([3, 126.5], { k: 1 }), [{ id: 20, distance: 0.25 }])
        t.deepEqual((await index.searchBatch(input, { k: 1 })).ids, Float64Array.of(10, 20, 30))
      }
    })
  }
}

const refused: [Dtype, Vectors, RegExp][] = [
  ['u8', [[1, 2], [3, 256]], /row 1: got 256 at position 1, expected whole numbers of 0 … 255/], // prettier-ignore
  ['u8', Int8Array.of(1, 2, -1, 4), /row 1: got -1 at position 0, expected whole numbers of 0 … 255/],
  ['u8', Float32Array.of(1, 0.5, 3, 4), /row 0: got 0.5 at position 1/],
  ['u8', [[1, 2], [1.0000000000001, 2]], /row 1: got 1.0000000000001 at position 0/], // prettier-ignore
  ['u8', [[1, NaN]], /row 0: got NaN at position 1/],
  ['i8', Uint8Array.of(1, 2, 128, 4), /row 1: got 128 at position 0, expected whole numbers of -128 … 127/],
  ['i8', Float64Array.of(-129, 2), /row 0: got -129 at position 0/],
  ['i8', [[1, -Infinity]], /row 0: got -inf at position 1/],
  ['f16', Float32Array.of(1, 2, 65_520, 4), /row 1: got 65520 at position 0, expected finite values below 65,520/],
  ['f16', [[1, NaN]], /row 0: got NaN at position 1/],
  ['f32', Float64Array.of(1, 1e39), /row 0: got .* at position 1, expected finite values/],
]

test('values that a dtype cannot keep are refused, with their row', async (t) => {
  for (const [dtype, input, message] of refused) {
    const index = new VectorIndex({ dimensions: 2, dtype })
    await index.add([1], [[1, 1]])
    const before = await contents(index)
    const ids = range('length' in input && typeof input[0] === 'number' ? input.length / 2 : input.length, 5)
    await rejects(t, () => index.add(ids, input), 'ERR_INVALID_VECTOR', message)
    await rejects(t, () => index.upsert(ids, input), 'ERR_INVALID_VECTOR', message)
    throws(t, () => index.addSync(ids, input), 'ERR_INVALID_VECTOR', message)
    t.deepEqual(await contents(index), before)
  }
  const cosine = new VectorIndex({ dimensions: 2, dtype: 'f16', metric: 'cosine' })
  await rejects(t, () => cosine.add([1], [[1e-9, 0]]), 'ERR_INVALID_VECTOR', /row 0: got a zero vector/)
})

test('queries may be any finite numbers', async (t) => {
  for (const dtype of dtypes) {
    const index = new VectorIndex({ dimensions: 2, dtype })
    await index.add([1, 2], [[1, 2], [30, 40]]) // prettier-ignore
    for (const query of [
      [0.5, -3],
      [1e6, 2],
      [300, -300],
    ]) {
      // prettier-ignore
      const expected = [1, 2].map((id) => ({ id, distance: distance('l2', query, index.get(id)!) }))
      areAsNear(
        t,
        await index.search(query),
        expected.sort((a, b) => a.distance - b.distance),
        (id) => distance('l2', query, index.get(id)!),
      )
    }
    await rejects(t, () => index.search([NaN, 1]), 'ERR_INVALID_VECTOR', /got NaN at position 0/)
  }
})

for (const metric of metrics) {
  for (const dtype of ['i8', 'u8'] as const) {
    test(`whole numbers as ${dtype} have the answers of f32 under ${metric}`, async (t) => {
      const [dimensions, count] = [37, 3_000]
      const shift = dtype === 'u8' ? 100 : 0
      const rows = wholeVectors(count, dimensions).map((value) => value * 9 + shift)
      const queries = wholeVectors(40, dimensions, 2).map((value) => value * 9 + shift)
      const options = { dimensions, metric, migration: 'manual', threshold: 1_000, m: 16 } as const
      const both = [new VectorIndex({ ...options, dtype }), new VectorIndex({ ...options, dtype: 'f32' })] as const
      for (const index of both) await index.add(range(count), rows)
      const compare = async (exact: boolean): Promise<void> => {
        const [mine, others] = await Promise.all(
          both.map((index) => index.searchBatch(queries, { k: 10, ef: 200, exact })),
        )
        if (exact) t.deepEqual(mine, others)
        for (let i = 0; i < 40; i++) {
          const query = queries.subarray(i * dimensions, (i + 1) * dimensions)
          const hits = both[0].searchSync(query, { exact: true })
          t.deepEqual(hits, both[1].searchSync(query, { exact: true }))
          const found = await both[0].search(query, { ef: 200, exact })
          const expected = nearest(metric, rows, query, 10)
          if (exact) areAsNear(t, found, expected, (id) => distance(metric, query, both[1].get(id)!))
          // What a graph finds, it finds at the same distance.
          for (const hit of found) t.is(hit.distance, hits.find(({ id }) => id === hit.id)?.distance ?? hit.distance)
        }
      }
      await compare(true)
      for (const index of both) await index.migrate()
      t.is(both[0].migration.state, 'graph')
      await compare(true)
      await compare(false)
      t.deepEqual(await both[0].searchById(5, { exact: true }), await both[1].searchById(5, { exact: true }))
      const { recall, unreachable } = await both[0].verify({ samples: 200 })
      t.true(recall > 0.97, `recall ${recall}`)
      t.is(unreachable, 0)
    })
  }
}

test('rows come and go while bytes are put into the order of the graph', async (t) => {
  const [dimensions, count] = [16, 30_000]
  const next = random(3)
  const rows = Uint8Array.from({ length: count * dimensions }, () => next() * 256)
  const index = new VectorIndex({ dimensions, dtype: 'u8', threshold: 1_000 })
  const row = (id: number): Uint8Array => rows.subarray(id * dimensions, (id + 1) * dimensions)
  for (let first = 0; first < count; first += 500) {
    await index.add(range(500, first), rows.subarray(first * dimensions, (first + 500) * dimensions))
    for (const id of [0, Math.floor(first / 2), first + 499]) {
      t.deepEqual(index.get(id), Float32Array.from(row(id)))
      t.deepEqual(index.searchSync(row(id), { k: 1 }), [{ id, distance: 0 }])
    }
  }
  await index.remove(range(1_000))
  await index.migrate()
  t.deepEqual(index.searchSync(row(2_000), { k: 1 }), [{ id: 2_000, distance: 0 }])
  t.deepEqual(index.get(29_999), Float32Array.from(row(29_999)))
  t.is((await index.verify({ samples: 100 })).unreachable, 0)
})

test('half precision rounds, and equal rows are equal once they are rounded', async (t) => {
  const index = new VectorIndex({ dimensions: 2, dtype: 'f16', threshold: 0 })
  await index.add([1, 2, 3], [[0.1, 1], [0.100001, 1], [2049, -1e-10]]) // prettier-ignore
  t.deepEqual(index.get(1), Float32Array.of(0.0999755859375, 1))
  t.deepEqual(index.get(2), index.get(1))
  t.deepEqual(index.get(3), Float32Array.of(2048, -0))
  await index.migrate()
  t.is(index.stats().levels[0], 2, 'one node for equal rows')
})

test('half precision finds what single precision finds', async (t) => {
  const [dimensions, count] = [40, 4_000]
  const rows = vectors(count, dimensions)
  for (const metric of metrics) {
    const index = new VectorIndex({ dimensions, metric, dtype: 'f16', threshold: 1_000, migration: 'manual' })
    await index.add(range(count), rows)
    await index.migrate()
    const kept = (await index.getMany(range(count))).vectors
    for (let i = 0; i < 20; i++) {
      const query = vectors(1, dimensions, 100 + i)
      const hits = await index.search(query, { exact: true })
      areAsNear(t, hits, nearest(metric, kept, query, 10), (id) => distance(metric, query, index.get(id)!))
    }
    t.true((await index.verify({ samples: 200 })).recall > 0.95)
  }
})

for (const dtype of dtypes) {
  for (const metric of metrics) {
    test(`an index of ${dtype} rows under ${metric} comes back`, async (t) => {
      const dimensions = 19
      const options = { dimensions, metric, dtype, threshold: 300, migration: 'manual', chunkSize: 250 } as const
      const index = new VectorIndex(options)
      const rows = (count: number, seed: number): Float32Array =>
        dtype.startsWith('f')
          ? vectors(count, dimensions, seed)
          : wholeVectors(count, dimensions, seed).map((x) => x + 9)
      await index.add(range(1_000), rows(1_000, 1))
      await index.migrateStep(600)
      await index.remove(range(50, 100))
      await index.upsert(range(30, 140), rows(30, 3))
      const file = path.join(directory, `${dtype}-${metric}.index`)
      await index.save(file)
      const loaded = await VectorIndex.load(file)
      t.like(loaded, { dtype, metric, size: 960 })
      t.deepEqual(await contents(loaded), await contents(index))
      const queries = rows(50, 5)
      for (const exact of [true, false]) {
        const answers = [index, loaded].map((one) => one.searchBatch(queries, { k: 5, ef: 8, exact }))
        t.deepEqual(await answers[1], await answers[0])
      }
      for (const one of [index, loaded]) {
        await one.migrate()
        t.is((await one.verify({ ef: 100 })).unreachable, 0)
      }
      t.deepEqual(await contents(loaded), await contents(index))
    })
  }
}

test('bytes take a fraction of the memory', async (t) => {
  const { rows, queries, dimensions, count, recall } = await readPhotos()
  const bytesOf = async (dtype: Dtype): Promise<{ vectors: number; codes: number; total: number }> => {
    const index = new VectorIndex({ dimensions, dtype, migration: 'manual' })
    await index.add(range(count), dtype === 'u8' ? Uint8Array.from(rows) : rows)
    await index.migrate()
    t.true((await recall(index, 64)) > 0.99)
    t.is(queries.length % dimensions, 0)
    return index.stats().bytes
  }
  const [whole, half, single] = [await bytesOf('u8'), await bytesOf('f16'), await bytesOf('f32')]
  t.is(whole.codes, 0, 'rows are their own codes')
  t.true(whole.vectors < (dimensions + 9) * count, `${whole.vectors / count} bytes a row`)
  t.is(half.vectors * 2, single.vectors)
  t.true(whole.total < single.total * 0.4)
})
