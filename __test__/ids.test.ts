import test from 'ava'
import { VectorIndex, type Id, type IdType, type IndexOptions } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'

const maxSafe = Number.MAX_SAFE_INTEGER
const maxU64 = 2n ** 64n - 1n

const good: Record<IdType, Id[]> = {
  number: [0, 1, -1, 42, -42, 2 ** 31, -(2 ** 31), 2 ** 32, maxSafe, -maxSafe],
  bigint: [0n, 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, maxU64 - 1n, maxU64],
  string: ['a', '', ' ', 'é', 'e\u0301', '😀', '\0', '\uffff', '__proto__', '0', '日本', 'x'.repeat(100_000)],
}

const bad: Record<IdType, unknown[]> = {
  number: [2 ** 53, -(2 ** 53), 0.5, NaN, Infinity, -Infinity, 1n, '1', null, undefined, true, {}, [1]],
  bigint: [-1n, 2n ** 64n, 1, 0, '1', null, undefined, false, {}, [1n]],
  string: ['\ud800', 'x\udc00', '\udc00\ud800', 1, 1n, null, undefined, true, {}, ['a']],
}

const types: IdType[] = ['number', 'bigint', 'string']

/** An index with row i at [i, 0] for the good id number i. The types of ids are checked in typings.ts. */
async function filled(idType: IdType): Promise<VectorIndex> {
  const index = make({ dimensions: 2, idType })
  await index.add(
    good[idType] as number[],
    good[idType].map((_, i) => [i, 0]),
  )
  return index
}

function make(options: IndexOptions): VectorIndex {
  return new VectorIndex(options as { dimensions: number })
}

for (const idType of types) {
  const ids = good[idType] as number[]

  test(`${idType}: ids come back from everywhere as they went in`, async (t) => {
    const index = await filled(idType)
    t.deepEqual([...index.keys()], ids)
    for (const [i, id] of ids.entries()) {
      t.true(index.has(id))
      t.deepEqual(index.get(id), Float32Array.of(i, 0))
      t.is((await index.search([i, 0], { k: 1 }))[0]!.id, id)
      t.is(index.searchSync([i, 0], { k: 1 })[0]!.id, id)
      t.is((await index.searchById(id, { k: 1 }))[0]!.distance, 1)
      t.deepEqual(await index.search([0, 0], { filter: [id] }), [{ id, distance: i * i }])
    }
    const batch = await index.searchBatch(
      ids.map((_, i) => [i, 0]),
      { k: 1 },
    )
    t.deepEqual([...batch.ids] as number[], ids)
    const { vectors, found } = await index.getMany(ids)
    t.deepEqual(vectors, Float32Array.from(ids.flatMap((_, i) => [i, 0])))
    t.deepEqual(found, new Uint8Array(ids.length).fill(1))
    t.is(await index.remove(ids), ids.length)
    t.is(index.size, 0)
  })

  test(`${idType}: other ids are refused wherever an id can stand`, async (t) => {
    const index = await filled(idType)
    const before = await contents(index)
    for (const value of bad[idType]) {
      const id = value as never
      const wrong = [ids[0], id] as never
      throws(t, () => index.get(id), 'ERR_INVALID_ARGUMENT')
      throws(t, () => index.has(id), 'ERR_INVALID_ARGUMENT')
      await rejects(t, () => index.searchById(id), 'ERR_INVALID_ARGUMENT')
      throws(t, () => index.addSync([id], [[1, 1]]), 'ERR_INVALID_ARGUMENT')
      throws(t, () => index.searchSync([0, 0], { filter: wrong }), 'ERR_INVALID_ARGUMENT', /row 1/)
      const rows = [[1, 1], [1, 1]] // prettier-ignore
      for (const call of [
        () => index.add(wrong, rows),
        () => index.upsert(wrong, rows),
        () => index.remove(wrong),
        () => index.getMany(wrong),
        () => index.idSet(wrong),
        () => index.search([0, 0], { filter: wrong }),
        () => index.search([0, 0], { filter: new Set(wrong) }),
        () => index.searchBatch([[0, 0]], { filter: wrong }),
        () => index.searchById(ids[0]!, { filter: wrong }),
      ]) {
        await rejects(t, call, 'ERR_INVALID_ARGUMENT', /row 1/)
      }
      if (!Array.isArray(value)) await rejects(t, () => index.remove(id), 'ERR_INVALID_ARGUMENT')
    }
    t.deepEqual(await contents(index), before)
  })
}

test('−0 is 0', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add([-0], [[1]])
  t.true(index.has(0))
  t.true(index.has(-0))
  t.deepEqual([...index.keys()], [0])
  t.is(index.searchSync([1])[0]!.id, 0)
  await rejects(t, () => index.add([0], [[1]]), 'ERR_DUPLICATE_ID')
  await index.upsert(Float64Array.of(-0), [[2]])
  t.is(index.size, 1)
})

test('typed arrays of ids', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  await index.add(Float64Array.of(-maxSafe, maxSafe), [[0], [1]])
  await index.add(Int32Array.of(-(2 ** 31), 2 ** 31 - 1), [[2], [3]])
  await index.add(Uint32Array.of(0, 2 ** 32 - 1), [[4], [5]])
  t.deepEqual([...index.keys()], [-maxSafe, maxSafe, -(2 ** 31), 2 ** 31 - 1, 0, 2 ** 32 - 1])
  t.is(await index.remove(Int32Array.of(0, 7)), 1)
  await rejects(t, () => index.add(Float64Array.of(1, 0.5), [[0], [1]]), 'ERR_INVALID_ARGUMENT', /0\.5.*row 1/)

  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  await bigints.add(BigUint64Array.of(0n, maxU64), [[0], [1]])
  t.deepEqual([...bigints.keys()], [0n, maxU64])
})

test('arrays of other classes are no ids', async (t) => {
  const numbers = new VectorIndex({ dimensions: 1 })
  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  const strings = new VectorIndex({ dimensions: 1, idType: 'string' })
  for (const ids of [BigUint64Array.of(1n), Uint8Array.of(1), Float32Array.of(1), '1', { length: 1, 0: 1 }, null]) {
    await rejects(t, () => numbers.add(ids as never, [[1]]), 'ERR_INVALID_ARGUMENT', /ids.*got .*expected /)
  }
  for (const ids of [Float64Array.of(1), BigInt64Array.of(1n), '1', 1n]) {
    await rejects(t, () => bigints.add(ids as never, [[1]]), 'ERR_INVALID_ARGUMENT', /ids.*got .*expected /)
  }
  for (const ids of [Float64Array.of(1), 'a', new Set(['a'])]) {
    await rejects(t, () => strings.add(ids as never, [[1]]), 'ERR_INVALID_ARGUMENT', /ids.*got .*expected /)
  }
})

test('holes are no ids', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  const ids = [1]
  ids[2] = 3
  await rejects(t, () => index.add(ids, [[1], [2], [3]]), 'ERR_INVALID_ARGUMENT', /row 1/)
})

test('two ids that are halves of one character are two lone surrogates', async (t) => {
  const index = new VectorIndex({ dimensions: 1, idType: 'string' })
  await rejects(t, () => index.add(['\ud83d', '\ude00'], [[1], [2]]), 'ERR_INVALID_ARGUMENT', /row 0/)
  await rejects(t, () => index.remove(['ok', '\ud83d', '\ude00']), 'ERR_INVALID_ARGUMENT', /row 1/)
  t.is(index.size, 0)
})

test('strings that look alike are different', async (t) => {
  const index = new VectorIndex({ dimensions: 1, idType: 'string' })
  await index.add(['é', 'e\u0301', 'E\u0301'], [[1], [2], [3]])
  t.is(index.size, 3)
  t.deepEqual(index.get('e\u0301'), Float32Array.of(2))
  t.false(index.has('E'))
})

test('many long strings', async (t) => {
  const ids = range(300).map((i) => `${i}${'ä😀'.repeat(2_000)}`)
  const index = new VectorIndex({ dimensions: 1, idType: 'string' })
  await index.add(
    ids,
    range(300).map((i) => [i]),
  )
  t.deepEqual([...index.keys()], ids)
  t.true(ids.every((id, i) => index.get(id)![0] === i))
})

test('a string that is too long is refused with its row', async (t) => {
  const index = new VectorIndex({ dimensions: 1, idType: 'string' })
  const longest = 'é'.repeat(2 ** 19 - 1)
  const message = /^ids: got a string of 1048576 bytes in row 1, expected at most 1048575 bytes of UTF-8$/
  for (const write of ['add', 'upsert'] as const)
    await rejects(t, () => index[write](['a', `${longest}é`], [[1], [2]]), 'ERR_INVALID_ARGUMENT', message)
  throws(t, () => index.addSync(['a', `${longest}é`], [[1], [2]]), 'ERR_INVALID_ARGUMENT', message)
  t.is(index.size, 0)
  await index.add([`${longest}x`], [[1]])
  t.deepEqual([...index.keys()], [`${longest}x`])
})
