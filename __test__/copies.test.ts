import test from 'ava'
import { MessageChannel } from 'node:worker_threads'
import { VectorIndex } from 'vicinal'
import { range, vectors, wholeVectors } from './helpers/data.js'
import { nearest } from './helpers/naive.js'

// What callers do to their arrays right after a call: the result must be that of the call's moment.

// Of ES2024, which the typings of ours do not ask for.
const Resizable = ArrayBuffer as unknown as new (
  length: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(length: number): void }

type Numbers = Float32Array | Float64Array | Int32Array | BigUint64Array

const changes: Record<string, (array: Numbers) => void> = {
  written: (array) => (array.fill as (value: never) => void)((array instanceof BigUint64Array ? 99n : 99) as never),
  'transferred by structuredClone': ({ buffer }) => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }),
  'transferred by postMessage'({ buffer }) {
    const { port1, port2 } = new MessageChannel()
    port1.postMessage(buffer, [buffer as ArrayBuffer])
    port1.close()
    port2.close()
  },
  'resized to nothing': ({ buffer }) => (buffer as InstanceType<typeof Resizable>).resize(0),
  'resized to much': ({ buffer }) => (buffer as InstanceType<typeof Resizable>).resize(buffer.byteLength * 4),
}

/** The same values in memory that can be resized. */
function resizable<T extends Numbers>(array: T): T {
  const { byteLength } = array
  const buffer = new Resizable(byteLength, { maxByteLength: byteLength * 4 })
  const view = new (array.constructor as new (buffer: ArrayBuffer) => T)(buffer)
  view.set(array as never)
  return view
}

function even(row: number): boolean {
  return row % 2 === 0
}

const count = 3_000
const dimensions = 8
const rows = wholeVectors(count, dimensions)

for (const [name, change] of Object.entries(changes)) {
  test(`vectors and ids ${name}`, async (t) => {
    for (const write of ['add', 'upsert'] as const) {
      const index = new VectorIndex({ dimensions })
      const [ids, values] = [resizable(Float64Array.from(range(count))), resizable(rows)]
      const pending = index[write](ids, values)
      change(values)
      change(ids)
      await pending
      t.deepEqual([...index.keys()], range(count))
      t.deepEqual((await index.getMany(range(count))).vectors, rows)
    }
    const doubles = resizable(Float64Array.from(rows))
    const nested = range(count).map((row) => resizable(rows.slice(row * dimensions, (row + 1) * dimensions)))
    const ids = resizable(Int32Array.from(range(count)))
    for (const values of [doubles, nested]) {
      const index = new VectorIndex({ dimensions })
      const pending = index.add(range(count), values)
      for (const array of values === doubles ? [doubles] : nested) change(array)
      await pending
      t.deepEqual((await index.getMany(range(count))).vectors, rows)
      if (values === doubles) continue
      const removing = index.remove(ids)
      change(ids)
      t.is(await removing, count)
    }
  })

  test(`queries and filters ${name}`, async (t) => {
    const index = new VectorIndex({ dimensions })
    await index.add(range(count), rows)
    const filter = resizable(Float64Array.from(range(count).filter(even)))
    const query = resizable(rows.slice(0, dimensions))
    const search = index.search(query, { filter })
    change(query)
    change(filter)
    t.deepEqual(await search, nearest('l2', rows, rows.subarray(0, dimensions), 10, even))

    const queries = resizable(rows.slice(0, 500 * dimensions))
    const batchFilter = resizable(Float64Array.from(range(count).filter(even)))
    const batch = index.searchBatch(queries, { filter: batchFilter })
    change(queries)
    change(batchFilter)
    const again = await index.searchBatch(rows.subarray(0, 500 * dimensions), { filter: range(count).filter(even) })
    t.deepEqual(await batch, again)

    const wanted = resizable(Float64Array.from(range(count)))
    const many = index.getMany(wanted)
    change(wanted)
    t.deepEqual((await many).vectors, rows)
  })

  test(`ids of bigints ${name}`, async (t) => {
    const index = new VectorIndex({ dimensions, idType: 'bigint' })
    const ids = resizable(BigUint64Array.from(range(count), BigInt))
    const adding = index.add(ids, rows)
    change(ids)
    await adding
    t.deepEqual([...index.keys()], range(count).map(BigInt))
  })
}

test('arrays of ids and of vectors changed after the call', async (t) => {
  const index = new VectorIndex({ dimensions: 2, idType: 'string' })
  const ids = ['a', 'b', 'c']
  const values = [[1, 1], [2, 2], [3, 3]] // prettier-ignore
  const adding = index.add(ids, values)
  ids.length = 0
  values[1]![0] = 50
  values.pop()
  await adding
  t.deepEqual([...index.keys()], ['a', 'b', 'c'])
  t.deepEqual([...(await index.getMany(['a', 'b', 'c'])).vectors], [1, 1, 2, 2, 3, 3])
  const filter = new Set(['b'])
  const query = [3, 3]
  const search = index.search(query, { filter })
  filter.clear()
  query[0] = NaN
  t.deepEqual(await search, [{ id: 'b', distance: 2 }])
})

test('options changed after the call', async (t) => {
  const index = new VectorIndex({ dimensions })
  await index.add(range(count), rows)
  const options = { k: 3, filter: [1, 2, 3, 4, 5] }
  const search = index.search(rows.subarray(0, dimensions), options)
  options.k = 0
  options.filter = []
  t.is((await search).length, 3)
})

test('one array for many queries that are not awaited', async (t) => {
  const index = new VectorIndex({ dimensions })
  await index.add(range(count), vectors(count, dimensions))
  const query = new Float32Array(dimensions)
  const searches = range(200).map((i) => {
    query.set(vectors(1, dimensions, i))
    return index.search(query, { k: 3 })
  })
  for (const [i, hits] of (await Promise.all(searches)).entries()) {
    t.deepEqual(hits, index.searchSync(vectors(1, dimensions, i), { k: 3 }))
  }
})

test('getters that change what was read before them', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  const first = [1, 1]
  const values = [first, [2, 2]] // prettier-ignore
  Object.defineProperty(values, 1, {
    get() {
      first[0] = 9
      return [2, 2]
    },
  })
  await index.add([1, 2], values)
  t.deepEqual([...(await index.getMany([1, 2])).vectors], [1, 1, 2, 2])
})
