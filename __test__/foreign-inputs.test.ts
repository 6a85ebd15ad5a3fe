import test from 'ava'
import vm from 'node:vm'
import { VectorIndex, VicinalError, type Vector } from 'vicinal'
import { rejects, throws } from './helpers/failures.js'

// Of ES2024, which the typings of ours do not ask for.
const Resizable = ArrayBuffer as unknown as new (
  length: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(length: number): void }

function detached<T extends ArrayBufferView<ArrayBuffer>>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

function gone(): Float32Array<ArrayBuffer> {
  return detached(Float32Array.of(1, 2))
}

function foreign<T>(source: string): T {
  return vm.runInNewContext(source) as T
}

function shared<T extends Float32Array | Float64Array | Int32Array | BigUint64Array>(array: T): T {
  const view = new (array.constructor as new (buffer: SharedArrayBuffer) => T)(new SharedArrayBuffer(array.byteLength))
  view.set(array as never)
  return view
}

function make(): VectorIndex {
  return new VectorIndex({ dimensions: 2 })
}

test('arrays of another realm are arrays', async (t) => {
  const index = make()
  await index.add(foreign('[1, 2]'), foreign('new Float32Array([1, 2, 3, 4])'))
  await index.add(foreign('new Float64Array([3])'), foreign('[new Float64Array([5, 6])]'))
  await index.add(foreign('new Int32Array([4, 5])'), foreign('[[7, 8], new Int8Array([9, 10])]'))
  await index.upsert(foreign('new Uint32Array([6])'), foreign('new Uint8Array([11, 12])'))
  t.deepEqual([...index.keys()], [1, 2, 3, 4, 5, 6])
  const { vectors } = await index.getMany(foreign('[1, 2, 3, 4, 5, 6]'))
  t.deepEqual([...vectors], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  t.is((await index.search(foreign('[3, 4]')))[0]!.id, 2)
  t.is(index.searchSync(foreign('new Float32Array([3, 4])'), foreign('({ k: 1 })'))[0]!.id, 2)
  t.is((await index.search([3, 4], { filter: foreign('new Set([4])') }))[0]!.id, 4)
  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  await bigints.add(foreign('new BigUint64Array([7n])'), foreign('[[1]]'))
  t.true(bigints.has(7n))
})

test('shared memory is read', async (t) => {
  const index = make()
  await index.add(shared(Float64Array.of(1, 2)), shared(Float32Array.of(1, 2, 3, 4)))
  await index.add(shared(Int32Array.of(3)), [shared(Float32Array.of(5, 6))])
  index.addSync([4], shared(Float64Array.of(7, 8)))
  t.deepEqual([...(await index.getMany([1, 2, 3, 4])).vectors], [1, 2, 3, 4, 5, 6, 7, 8])
  t.is((await index.search(shared(Float32Array.of(5, 6)), { k: 1 }))[0]!.id, 3)
  t.is(index.searchSync(shared(Float64Array.of(5, 6)), { k: 1 })[0]!.id, 3)
  t.deepEqual((await index.searchBatch(shared(Float32Array.of(5, 6, 1, 2)), { k: 1 })).ids, Float64Array.of(3, 1))
  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  await bigints.add(shared(BigUint64Array.of(2n ** 64n - 1n)), [[1]])
  t.true(bigints.has(2n ** 64n - 1n))
})

test('a Buffer is refused: its bytes are not values', async (t) => {
  const index = make()
  const pooled = Buffer.from([1, 2])
  for (const buffer of [pooled, Buffer.alloc(2), pooled.subarray(0, 2)]) {
    await rejects(t, () => index.add([1], buffer), 'ERR_INVALID_ARGUMENT', /Buffer/)
    await rejects(t, () => index.add([1], [buffer]), 'ERR_INVALID_ARGUMENT', /Buffer/)
    throws(t, () => index.addSync([1], buffer), 'ERR_INVALID_ARGUMENT', /Buffer/)
    await rejects(t, () => index.search(buffer), 'ERR_INVALID_ARGUMENT', /Buffer/)
    throws(t, () => index.searchSync(buffer), 'ERR_INVALID_ARGUMENT', /Buffer/)
    await rejects(t, () => index.searchBatch(buffer), 'ERR_INVALID_ARGUMENT', /Buffer/)
  }
  t.is(index.size, 0)
})

test('memory that is gone is no input', async (t) => {
  const index = make()
  await index.add([1], [[1, 1]])
  const refused = (name: string, call: () => Promise<unknown>): Promise<unknown> =>
    rejects(t, call, 'ERR_INVALID_ARGUMENT', new RegExp(`^${name}: got .*Array.*, expected .*not detached`))
  for (const ids of [() => Float64Array.of(2), () => Int32Array.of(2), () => Uint32Array.of(2)]) {
    await refused('ids', () => index.add(detached(ids()), [[1, 2]]))
    await refused('ids', () => index.add(detached(ids()), []))
    await refused('ids', () => index.remove(detached(ids())))
    await refused('ids', () => index.idSet(detached(ids())))
    await refused('filter', () => index.search([1, 1], { filter: detached(ids()) }))
  }
  await refused('vectors', () => index.add([2], gone()))
  await refused('vectors', () => index.add([], gone()))
  await refused('vectors', () => index.upsert([], detached(Int8Array.of(1, 2))))
  await refused('vectors', async () => index.addSync([], gone()))
  await refused('vectors', () => index.add([2], [gone()]))
  await refused('query', () => index.search(gone()))
  await refused('query', async () => index.searchSync(detached(Float64Array.of(1, 2))))
  await refused('queries', () => index.searchBatch(gone()))
  await refused('bytes', () => VectorIndex.fromBytes(detached(Uint8Array.of(1, 2))))
  const bigints = new VectorIndex({ dimensions: 1, idType: 'bigint' })
  await refused('ids', () => bigints.add(detached(BigUint64Array.of(2n)), []))
  t.is(index.size, 1)
})

test('resizable memory is read as it is at the call', async (t) => {
  const buffer = new Resizable(16, { maxByteLength: 64 })
  const tracking = new Float32Array(buffer)
  const fixed = new Float32Array(buffer, 8, 2)
  tracking.set([1, 2, 3, 4])
  const index = make()
  await index.add([1, 2], tracking)
  await index.add([3], fixed)
  buffer.resize(24)
  tracking.set([5, 6], 4)
  await index.add([4, 5, 6], tracking)
  t.deepEqual([...(await index.getMany([1, 2, 3, 4, 5, 6])).vectors], [1, 2, 3, 4, 3, 4, 1, 2, 3, 4, 5, 6])
  t.is((await index.search(fixed, { k: 1 }))[0]!.id, 2)
  buffer.resize(8)
  await rejects(t, () => index.add([7, 8], tracking), 'ERR_INVALID_ARGUMENT', /got 2.*expected .*1/)
  await t.throwsAsync(() => index.add([7], fixed), { instanceOf: VicinalError })
  await rejects(t, () => index.search(fixed), 'ERR_INVALID_ARGUMENT', /detached/)
  t.deepEqual(index.searchSync(tracking, { k: 1 }), [{ id: 1, distance: 0 }])
  t.is(index.size, 6)
})

test('ids in resizable memory', async (t) => {
  const buffer = new Resizable(16, { maxByteLength: 64 })
  const ids = new Float64Array(buffer)
  ids.set([7, 8])
  const index = make()
  await index.add(ids, [[1, 1], [2, 2]]) // prettier-ignore
  buffer.resize(8)
  t.is(await index.remove(ids), 1)
  t.deepEqual([...index.keys()], [8])
})

test('objects that only look like a vector are none', async (t) => {
  const index = make()
  const impostors = [
    Object.create(Float32Array.prototype) as Vector,
    { length: 2, 0: 1, 1: 2, [Symbol.toStringTag]: 'Float32Array' } as never,
    new Proxy(Float32Array.of(1, 2), {}),
  ]
  for (const vector of impostors) {
    await rejects(t, () => index.add([1], vector as never), 'ERR_INVALID_ARGUMENT')
    await rejects(t, () => index.search(vector), 'ERR_INVALID_ARGUMENT')
  }
})

test('subclasses of typed arrays are typed arrays', async (t) => {
  class Embedding extends Float32Array {}
  const index = make()
  await index.add([1], new Embedding([1, 2]))
  t.deepEqual(index.searchSync(new Embedding([1, 2])), [{ id: 1, distance: 0 }])
})
