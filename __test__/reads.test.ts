import test from 'ava'
import { VectorIndex, type Id } from 'vicinal'
import { range, rowOf, vectors } from './helpers/data.js'
import { throws } from './helpers/failures.js'

test('get returns a copy of the row', async (t) => {
  const index = new VectorIndex({ dimensions: 3 })
  await index.add([1], [[0.1, -2, 3e-40]])
  const row = index.get(1)!
  t.deepEqual(row, Float32Array.of(0.1, -2, 3e-40))
  row.fill(9)
  t.deepEqual(index.get(1), Float32Array.of(0.1, -2, 3e-40))
  t.is(index.get(2), undefined)
})

test('rows of any size come back exactly, before and after the migration', async (t) => {
  for (const dimensions of [1, 15, 16, 17, 1_000, 65_536]) {
    const count = Math.min(200, Math.ceil(200_000 / dimensions))
    const rows = vectors(count, dimensions)
    const index = new VectorIndex({ dimensions, threshold: 0, m: 4, efConstruction: 10 })
    await index.add(range(count), rows)
    t.deepEqual((await index.getMany(range(count))).vectors, rows)
    await index.migrate()
    t.deepEqual((await index.getMany(range(count))).vectors, rows)
    t.deepEqual(index.get(count - 1), rowOf(rows, count - 1, dimensions))
  }
})

test('getMany keeps the order of the ids, with zeros where there is none', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  await index.add([1, 2], [[1, 10], [2, 20]]) // prettier-ignore
  const { vectors: rows, found } = await index.getMany([2, 5, 1, 2])
  t.deepEqual(rows, Float32Array.of(2, 20, 0, 0, 1, 10, 2, 20))
  t.deepEqual(found, Uint8Array.of(1, 0, 1, 1))
})

test('has', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  t.false(index.has(1))
  await index.add([1], [[1]])
  t.true(index.has(1))
  t.false(index.has(-1))
  await index.remove(1)
  t.false(index.has(1))
})

test('keys come in the order of insertion, many blocks of them', async (t) => {
  const index = new VectorIndex({ dimensions: 1, threshold: 1_000 })
  const ids = range(5_000).map((i) => (i * 7_919) % 5_003)
  await index.add(ids, vectors(5_000, 1))
  t.deepEqual([...index.keys()], ids)
  await index.migrate()
  t.deepEqual([...index.keys()], ids)
  await index.remove(ids.filter((_, i) => i % 3 === 0))
  t.deepEqual([...index.keys()], ids.filter((_, i) => i % 3 !== 0)) // prettier-ignore
})

test('keys are those that were live at the call', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add(range(3_000), vectors(3_000, 1))
  const keys = index.keys()
  const first = [keys.next().value, keys.next().value]
  await index.remove([2_999, 1])
  await index.add([5_000], [[1]])
  await index.upsert([10], [[1]])
  t.deepEqual([...first, ...keys], range(3_000))
  const others = index.keys()
  await index.clear()
  t.is([...others].length, 2_999)
})

test('keys is an iterator that can be iterated, and left', async (t) => {
  const index = new VectorIndex({ dimensions: 1, idType: 'string' })
  await index.add(['a', 'b', 'c'], [[1], [2], [3]])
  const keys = index.keys()
  t.is(keys[Symbol.iterator](), keys)
  for (const key of keys) {
    t.is(key, 'a')
    break
  }
  t.deepEqual(keys.next(), { value: undefined, done: true })
  t.deepEqual([...index.keys()], ['a', 'b', 'c'])
  t.deepEqual([...new VectorIndex({ dimensions: 1 }).keys()], [])
})

test('reads of one id take no list of ids', (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  for (const id of [[1], Float64Array.of(1), new Set([1])] as never[] as Id[]) {
    throws(t, () => index.get(id as never), 'ERR_INVALID_ARGUMENT')
    throws(t, () => index.has(id as never), 'ERR_INVALID_ARGUMENT')
  }
})

test('stats counts rows and bytes', async (t) => {
  const index = new VectorIndex({ dimensions: 16, threshold: 100, m: 8, idType: 'string' })
  const empty = index.stats()
  t.like(empty, { live: 0, removed: 0, tail: 0, levels: [], meanDegree: 0, m: 8 })
  t.deepEqual(empty.migration, index.migration)
  await index.add(range(1_000).map(String), vectors(1_000, 16))
  await index.migrate()
  await index.remove(['1', '2'])
  await index.add(['1'], [range(16)])
  await index.migrate()
  const { live, removed, tail, levels, bytes, simd } = index.stats()
  t.deepEqual({ live, removed, tail }, { live: 999, removed: 2, tail: 0 })
  t.is(levels[0], 1_001)
  t.true(levels.every((nodes, level) => level === 0 || nodes < levels[level - 1]!))
  t.true(bytes.vectors >= 1_001 * 16 * 4 && bytes.links > 0 && bytes.ids > 0)
  t.is(bytes.total, bytes.vectors + bytes.codes + bytes.links + bytes.ids)
  t.is(typeof simd, 'string')
})
