import test from 'ava'
import { VectorIndex } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range, vectors } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'

function make(): VectorIndex {
  return new VectorIndex({ dimensions: 2 })
}

test('a batch is added as a whole or not at all', async (t) => {
  const index = make()
  await index.add([1, 2], [[1, 1], [2, 2]]) // prettier-ignore
  const before = await contents(index)
  const many = range(3_000, 10)
  const first = many.slice(0, -1)
  const rows = vectors(3_000, 2)
  rows[5_999] = NaN
  const good = vectors(3_000, 2)
  for (const write of ['add', 'upsert'] as const) {
    await rejects(t, () => index[write](many, rows), 'ERR_INVALID_VECTOR', /row 2999/)
    await rejects(t, () => index[write]([...first, 10], good), 'ERR_DUPLICATE_ID', /row 2999.*got id 10.*expected/)
    await rejects(t, () => index[write]([...first, 0.5], good), 'ERR_INVALID_ARGUMENT', /row 2999/)
    await rejects(t, () => index[write](many, good.subarray(1)), 'ERR_DIMENSION_MISMATCH')
    await rejects(t, () => index[write](many, good.subarray(2)), 'ERR_INVALID_ARGUMENT')
  }
  await rejects(t, () => index.add([...first, 2], good), 'ERR_DUPLICATE_ID', /row 2999.*got id 2.*expected/)
  throws(t, () => index.addSync([...first, 2], good), 'ERR_DUPLICATE_ID', /row 2999/)
  throws(t, () => index.addSync(many, rows), 'ERR_INVALID_VECTOR', /row 2999/)
  t.deepEqual(await contents(index), before)
})

test('ids of every type are named when they are there already', async (t) => {
  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  await bigints.add([2n ** 64n - 1n], [[1]])
  await rejects(
    t,
    () => bigints.add([1n, 2n ** 64n - 1n], [[1], [2]]),
    'ERR_DUPLICATE_ID',
    /row 1.*18446744073709551615/,
  )
  const strings = new VectorIndex({ dimensions: 1, idType: 'string' })
  await strings.add(['me'], [[1]])
  await rejects(t, () => strings.add(['you', 'me'], [[1], [2]]), 'ERR_DUPLICATE_ID', /row 1.*me/)
  const numbers = make()
  await numbers.add([-7], [[1, 1]])
  await rejects(t, () => numbers.add([-7], [[1, 1]]), 'ERR_DUPLICATE_ID', /row 0.*-7/)
})

test('upsert replaces, and what is replaced counts as newly inserted', async (t) => {
  const index = make()
  await index.add([1, 2, 3], [[0, 1], [0, 1], [0, 1]]) // prettier-ignore
  await index.upsert([4, 1], [[0, 1], [1, 0]]) // prettier-ignore
  t.is(index.size, 4)
  t.deepEqual([...index.keys()], [2, 3, 4, 1])
  t.deepEqual(index.get(1), Float32Array.of(1, 0))
  t.deepEqual(index.searchSync([1, 0], { k: 1 }), [{ id: 1, distance: 0 }])
  await index.upsert([2], [[0, 1]])
  t.deepEqual(index.searchSync([0, 1], { k: 3 }).map(({ id }) => id), [3, 4, 2]) // prettier-ignore
  await rejects(t, () => index.upsert([5, 1, 5], [[1, 1], [2, 2], [3, 3]]), 'ERR_DUPLICATE_ID', /row 2.*5/) // prettier-ignore
  t.false(index.has(5))
  t.deepEqual(index.get(1), Float32Array.of(1, 0))
})

test('remove says how many there were', async (t) => {
  const index = make()
  await index.add(range(10), vectors(10, 2))
  t.is(await index.remove(3), 1)
  t.is(await index.remove(3), 0)
  t.is(await index.remove([1, 1, 2, 99, 3]), 2)
  t.is(await index.remove(Float64Array.of(4, 5, -1)), 2)
  t.deepEqual([...index.keys()], [0, 6, 7, 8, 9])
  t.is(index.size, 5)
  t.is(index.get(1), undefined)
  t.false(index.has(2))
  t.is(await index.remove(range(10)), 5)
  t.is(index.size, 0)
  t.deepEqual(await index.search([0, 0]), [])
})

test('an id can come back after it was removed', async (t) => {
  const index = make()
  await index.add([1, 2], [[1, 1], [2, 2]]) // prettier-ignore
  for (let round = 0; round < 20; round++) {
    t.is(await index.remove(1), 1)
    await index.add([1], [[round, 5]])
    t.deepEqual(index.get(1), Float32Array.of(round, 5))
    t.deepEqual(index.searchSync([round, 5], { k: 1 }), [{ id: 1, distance: 0 }])
  }
  t.deepEqual([...index.keys()], [2, 1])
  t.is(index.size, 2)
})

test('clear leaves an empty index that works', async (t) => {
  const index = new VectorIndex({ dimensions: 2, threshold: 50 })
  await index.clear()
  await index.add(range(200), vectors(200, 2))
  await index.migrate()
  await index.clear()
  t.is(index.size, 0)
  t.deepEqual(index.migration, { state: 'exact', migrated: 0, total: 0 })
  t.deepEqual([...index.keys()], [])
  t.deepEqual(await index.search([0, 0]), [])
  t.is(index.get(5), undefined)
  await index.add(range(100), vectors(100, 2, 2))
  t.is((await index.migrate()).vectors, 100)
  t.is(index.migration.state, 'graph')
})

test('writes take effect in the order of the calls, awaited or not', async (t) => {
  const index = make()
  const calls = [
    index.add(range(5_000), vectors(5_000, 2)),
    index.upsert([7], [[70, 70]]),
    index.remove(range(4_000)),
    index.add([7], [[77, 77]]),
    index.clear(),
    index.add([1, 2, 3], [[1, 1], [2, 2], [3, 3]]), // prettier-ignore
    index.remove(2),
    index.upsert([2, 1], [[22, 22], [11, 11]]), // prettier-ignore
  ]
  const results = await Promise.all(calls)
  t.deepEqual(results, [undefined, undefined, 4_000, undefined, undefined, undefined, 1, undefined])
  t.deepEqual([...index.keys()], [3, 2, 1])
  t.deepEqual([...(await index.getMany([1, 2, 3])).vectors], [11, 11, 22, 22, 3, 3])
})

test('a write that fails does not keep the next from its turn', async (t) => {
  const index = make()
  const results = await Promise.allSettled([
    index.add([1], [[1, 1]]),
    index.add([1], [[2, 2]]),
    index.upsert([1], [[3, 3]]),
    index.add([2], [[NaN, 0]]),
    index.add([2], [[4, 4]]),
  ])
  t.deepEqual(results.map(({ status }) => status === 'fulfilled'), [true, false, true, false, true]) // prettier-ignore
  t.deepEqual([...(await index.getMany([1, 2])).vectors], [3, 3, 4, 4])
})

test('addSync waits for the writes before it', async (t) => {
  const index = make()
  const pending = range(40).map((i) => index.add(range(500, i * 500), vectors(500, 2, i)))
  pending.push(index.remove([5]) as Promise<unknown> as Promise<void>, index.add([20_001], [[1, 1]]))
  index.addSync([5, 20_000], [[5, 5], [6, 6]]) // prettier-ignore
  t.is(index.size, 20_002)
  t.deepEqual([...index.keys()].slice(-3), [20_001, 5, 20_000])
  throws(t, () => index.addSync([0], [[1, 1]]), 'ERR_DUPLICATE_ID', /row 0/)
  await Promise.all(pending)
  t.is(index.size, 20_002)
})

test('a row is found as soon as its add has resolved', async (t) => {
  const index = new VectorIndex({ dimensions: 4, threshold: 100, chunkSize: 10 })
  const rows = vectors(1_000, 4)
  for (let id = 0; id < 1_000; id += 20) {
    await index.add(range(20, id), rows.subarray(id * 4, (id + 20) * 4))
    for (const row of [id, id + 19]) {
      const [hit] = await index.search(rows.subarray(row * 4, row * 4 + 4), { k: 1 })
      t.deepEqual(hit, { id: row, distance: 0 })
    }
  }
})
