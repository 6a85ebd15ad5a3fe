import test from 'ava'
import { VectorIndex, type Vector, type Vectors } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'

const values = [1, 2, 3, 4, 5, 6]
const padded = [9, 9, ...values, 9]

const flat: Record<string, Vectors> = {
  Float32Array: Float32Array.from(values),
  Float64Array: Float64Array.from(values),
  Uint8Array: Uint8Array.from(values),
  Int8Array: Int8Array.from(values),
  'part of a Float32Array': Float32Array.from(padded).subarray(2, 8),
  'part of a Float64Array': Float64Array.from(padded).subarray(2, 8),
  'part of a Uint8Array': Uint8Array.from(padded).subarray(2, 8),
  'part of an Int8Array': new Int8Array(Int8Array.from(padded).buffer, 2, 6),
  'arrays of numbers': [[1, 2], [3, 4], [5, 6]], // prettier-ignore
  'arrays of all kinds': [Float32Array.of(1, 2), [3, 4], Uint8Array.of(5, 6)],
  'parts of arrays': [
    Float64Array.from(padded).subarray(2, 4),
    Int8Array.of(3, 4),
    Float32Array.of(9, 5, 6).subarray(1),
  ],
}

for (const [name, vectors] of Object.entries(flat)) {
  test(`vectors: ${name}`, async (t) => {
    const expected = Float32Array.from(values)
    for (const write of ['add', 'upsert', 'addSync'] as const) {
      const index = new VectorIndex({ dimensions: 2 })
      await index[write]([10, 20, 30], vectors)
      t.deepEqual((await index.getMany([10, 20, 30])).vectors, expected, write)
      t.deepEqual((await index.searchBatch(vectors, { k: 1 })).ids, Float64Array.of(10, 20, 30))
    }
  })
}

const queries: Record<string, Vector> = {
  Float32Array: Float32Array.of(3, 4),
  Float64Array: Float64Array.of(3, 4),
  Uint8Array: Uint8Array.of(3, 4),
  Int8Array: Int8Array.of(3, 4),
  numbers: [3, 4],
  'part of an array': Float32Array.from(padded).subarray(4, 6),
}

for (const [name, query] of Object.entries(queries)) {
  test(`query: ${name}`, async (t) => {
    const index = new VectorIndex({ dimensions: 2 })
    await index.add([10, 20, 30], Float32Array.from(values))
    const expected = [{ id: 20, distance: 0 }]
    t.deepEqual(await index.search(query, { k: 1 }), expected)
    t.deepEqual(index.searchSync(query, { k: 1 }), expected)
  })
}

test('bytes have their signs', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  await index.add([1], Uint8Array.of(0, 255))
  await index.add([2], Int8Array.of(-128, 127))
  t.deepEqual(index.get(1), Float32Array.of(0, 255))
  t.deepEqual(index.get(2), Float32Array.of(-128, 127))
})

test('doubles are rounded to the nearest single', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  await index.add([1], Float64Array.of(0.1, 1e-46))
  await index.add([2], [[0.1, 1e-46]])
  t.deepEqual(index.get(1), Float32Array.of(0.1, 0))
  t.deepEqual(index.get(2), Float32Array.of(0.1, 0))
})

test('no rows are fine', async (t) => {
  const index = new VectorIndex({ dimensions: 3 })
  await index.add([], [])
  await index.upsert([], new Float32Array(0))
  index.addSync(new Float64Array(0), [])
  t.is(await index.remove([]), 0)
  t.is(index.size, 0)
  t.deepEqual(await index.getMany([]), { vectors: new Float32Array(0), found: new Uint8Array(0) })
  const { ids, distances, counts } = await index.searchBatch([], { k: 3 })
  t.deepEqual([ids.length, distances.length, counts.length], [0, 0, 0])
})

test('what holds no values is refused', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  await index.add([1], [[1, 1]])
  const before = await contents(index)
  const wrong: unknown[] = [
    null,
    undefined,
    'ab',
    12,
    {},
    { length: 2, 0: 1, 1: 2 },
    new ArrayBuffer(8),
    new DataView(new ArrayBuffer(8)),
    Uint16Array.of(1, 2),
    Uint8ClampedArray.of(1, 2),
    BigInt64Array.of(1n, 2n),
    Buffer.from([1, 2]),
    new Set([1, 2]),
    () => [1, 2],
  ]
  for (const value of wrong as never[]) {
    await rejects(t, () => index.add([2], value), 'ERR_INVALID_ARGUMENT', /vectors.*got .*expected /)
    await rejects(t, () => index.add([2, 3], [[1, 2], value]), 'ERR_INVALID_ARGUMENT', /got .*row 1.*expected /)
    await rejects(t, () => index.upsert([2], value), 'ERR_INVALID_ARGUMENT', /vectors.*got .*expected /)
    throws(t, () => index.addSync([2], value), 'ERR_INVALID_ARGUMENT', /vectors.*got .*expected /)
    await rejects(t, () => index.search(value), 'ERR_INVALID_ARGUMENT', /query.*got .*expected /)
    throws(t, () => index.searchSync(value), 'ERR_INVALID_ARGUMENT', /query.*got .*expected /)
    await rejects(t, () => index.searchBatch(value), 'ERR_INVALID_ARGUMENT', /queries.*got .*expected /)
  }
  t.deepEqual(await contents(index), before)
})

test('a flat array of numbers is no array of vectors', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  await rejects(t, () => index.add([1], [1, 2] as never), 'ERR_INVALID_ARGUMENT', /row 0/)
})

test('what is no number inside a vector is refused', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  for (const vector of [['1', 2], [1, null], [undefined, 1], [1n, 1], Array(2), [[1], 1], [1, true]] as never[]) {
    await rejects(t, () => index.add([1, 2], [[1, 2], vector]), 'ERR_INVALID_ARGUMENT', /row 1/)
    await rejects(t, () => index.search(vector), 'ERR_INVALID_ARGUMENT')
  }
  t.is(index.size, 0)
})

test('lengths that do not fit name what was got and expected, and the row', async (t) => {
  const index = new VectorIndex({ dimensions: 3 })
  for (const vectors of [new Float32Array(4), new Float64Array(2), new Uint8Array(7)]) {
    await rejects(t, () => index.add([1], vectors), 'ERR_DIMENSION_MISMATCH', /got [247] .*expected .*3/)
    await rejects(t, () => index.searchBatch(vectors), 'ERR_DIMENSION_MISMATCH', /got [247] .*expected .*3/)
  }
  const short: Vectors[] = [
    [[1, 2, 3], [1, 2]], // prettier-ignore
    [Float32Array.of(1, 2, 3), new Float32Array(2)],
    [new Int8Array(3), Uint8Array.of(1, 2)],
  ]
  for (const vectors of short) {
    const message = /row 1.*got 2 .*expected 3/
    await rejects(t, () => index.add([1, 2], vectors), 'ERR_DIMENSION_MISMATCH', message)
    await rejects(t, () => index.searchBatch(vectors), 'ERR_DIMENSION_MISMATCH', message)
    throws(t, () => index.addSync([1, 2], vectors), 'ERR_DIMENSION_MISMATCH', message)
  }
  for (const query of [[], [1, 2], [1, 2, 3, 4], new Float32Array(6), new Int8Array(0)]) {
    await rejects(t, () => index.search(query), 'ERR_DIMENSION_MISMATCH', /got \d .*expected 3/)
    throws(t, () => index.searchSync(query), 'ERR_DIMENSION_MISMATCH', /got \d .*expected 3/)
  }
  t.is(index.size, 0)
})

test('as many ids as vectors', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  for (const count of [0, 1, 3]) {
    const message = new RegExp(`got ${count}.*expected .*2`)
    await rejects(t, () => index.add(range(count), [[1], [2]]), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.upsert(range(count), Float32Array.of(1, 2)), 'ERR_INVALID_ARGUMENT', message)
    throws(t, () => index.addSync(range(count), [[1], [2]]), 'ERR_INVALID_ARGUMENT', message)
  }
  t.is(index.size, 0)
})

test('values that no distance can be computed from name their row', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  for (const value of [NaN, Infinity, -Infinity, 1e39, -1e300]) {
    for (const vectors of [
      Float64Array.of(1, 2, value, 3),
      [
        [1, 2],
        [3, value],
      ],
    ] as Vectors[]) {
      // prettier-ignore
      await rejects(t, () => index.add([1, 2], vectors), 'ERR_INVALID_VECTOR', /row 1.*got .*expected /)
      await rejects(t, () => index.upsert([1, 2], vectors), 'ERR_INVALID_VECTOR', /row 1/)
      throws(t, () => index.addSync([1, 2], vectors), 'ERR_INVALID_VECTOR', /row 1/)
      await rejects(t, () => index.searchBatch(vectors), 'ERR_INVALID_VECTOR', /row 1/)
    }
    await rejects(t, () => index.search([value, 1]), 'ERR_INVALID_VECTOR')
    throws(t, () => index.searchSync(Float64Array.of(1, value)), 'ERR_INVALID_VECTOR')
  }
  t.is(index.size, 0)
})

test('a finite number that is too large for single precision is named as it was given', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  const message = /got 1e\+?39 at position 1, expected finite values below 3\.4028236e38/
  for (const vector of [[1, 1e39], Float64Array.of(1, 1e39)]) {
    await rejects(t, () => index.add([1], [vector]), 'ERR_INVALID_VECTOR', message)
    await rejects(t, () => index.search(vector), 'ERR_INVALID_VECTOR', message)
    throws(t, () => index.searchSync(vector), 'ERR_INVALID_VECTOR', message)
    await rejects(t, () => index.searchBatch([vector]), 'ERR_INVALID_VECTOR', message)
  }
  await rejects(t, () => index.add([1], Float64Array.of(1, 1e39)), 'ERR_INVALID_VECTOR', message)
  await rejects(t, () => index.search([1, Infinity]), 'ERR_INVALID_VECTOR', /got inf at position 1, expected finite/)
})

test('under cosine a zero vector is refused, elsewhere it is not', async (t) => {
  const cosine = new VectorIndex({ dimensions: 2, metric: 'cosine' })
  for (const zero of [[0, 0], [-0, 0], Float64Array.of(1e-50, 0)]) {
    // prettier-ignore
    await rejects(t, () => cosine.add([1, 2], [[1, 0], zero]), 'ERR_INVALID_VECTOR', /row 1.*got .*expected /)
    await rejects(t, () => cosine.search(zero), 'ERR_INVALID_VECTOR')
    throws(t, () => cosine.searchSync(zero), 'ERR_INVALID_VECTOR')
    await rejects(t, () => cosine.searchBatch([[1, 1], zero]), 'ERR_INVALID_VECTOR', /row 1/)
  }
  t.is(cosine.size, 0)
  const l2 = new VectorIndex({ dimensions: 2 })
  await l2.add([1], [[0, 0]])
  t.deepEqual(await l2.search([0, 0]), [{ id: 1, distance: 0 }])
})
