import test from 'ava'
import { VectorIndex, type IndexOptions } from 'vicinal'
import { range, vectors } from './helpers/data.js'
import { throws } from './helpers/failures.js'

const never: unknown[] = [null, '4', NaN, true, {}, 4n]

const ranges: Record<string, { good: unknown[]; bad: unknown[] }> = {
  dimensions: { good: [1, 3, 65_536], bad: [...never, undefined, 0, -1, 1.5, 65_537, Infinity] },
  metric: { good: ['l2', 'cosine', 'ip', undefined], bad: [null, 'L2', 'euclidean', '', 1] },
  idType: { good: ['number', 'bigint', 'string', undefined], bad: [null, 'Number', 'symbol', '', 0] },
  dtype: { good: ['f32', 'f16', 'i8', 'u8', undefined], bad: [null, 'f64', 'float32', 'U8', '', 32] },
  m: { good: [2, 16, 256, undefined], bad: [...never, 0, 1, 257, 16.5, -16] },
  efConstruction: { good: [1, 1_000, 2 ** 53 - 1, undefined], bad: [...never, 0, -1, 0.5, Infinity] },
  ef: { good: [1, 100_000, 2 ** 53 - 1, undefined], bad: [...never, 0, -1, 2.5, Infinity] },
  threshold: { good: [0, 1, 2 ** 53 - 1, Infinity, undefined], bad: [...never, -1, 0.5, -Infinity] },
  chunkSize: { good: [1, 1_000_000, 2 ** 53 - 1, undefined], bad: [...never, 0, -5, 1.5, Infinity] },
  migration: { good: ['auto', 'manual', undefined], bad: [null, 'Auto', '', false] },
  threads: { good: [1, 3, undefined], bad: [...never, 0, 1_025, 1.5, Infinity] },
  seed: { good: [0, 7, 2 ** 53 - 1, undefined], bad: [...never, -1, 0.5, 2 ** 53, Infinity] },
  capacity: { good: [0, 10_000, 2 ** 44, 2 ** 53 - 1, undefined], bad: [...never, -1, 0.5, Infinity] },
}

for (const [name, { good, bad }] of Object.entries(ranges)) {
  test(`${name} is taken in its range and refused outside it`, (t) => {
    for (const value of good) {
      t.notThrows(() => new VectorIndex({ dimensions: 2, [name]: value } as IndexOptions as never), String(value))
    }
    for (const value of bad) {
      const make = () => new VectorIndex({ dimensions: 2, [name]: value } as IndexOptions as never)
      throws(t, make, 'ERR_INVALID_ARGUMENT', new RegExp(`${name}.*got .*expected `))
    }
  })
}

test('unknown names are refused, even without a value', (t) => {
  for (const name of ['dim', 'efSearch', 'Dimensions', 'toString']) {
    const make = () => new VectorIndex({ dimensions: 2, [name]: undefined } as never)
    throws(t, make, 'ERR_INVALID_ARGUMENT', new RegExp(name))
  }
})

test('dimensions are required, and said to be what they may be', async (t) => {
  const message = /^dimensions: got undefined, expected a whole number, 1 … 65536$/
  throws(t, () => new VectorIndex({} as never), 'ERR_INVALID_ARGUMENT', message)
  throws(t, () => new VectorIndex({ dimensions: undefined } as never), 'ERR_INVALID_ARGUMENT', message)
})

test('options must be an object', (t) => {
  for (const options of [undefined, null, 4, 'l2', [], new Float32Array(2), () => 1]) {
    throws(t, () => new VectorIndex(options as never), 'ERR_INVALID_ARGUMENT')
  }
})

test('what is left out has the documented default', async (t) => {
  const index = new VectorIndex({ dimensions: 4 })
  t.like(index, { dimensions: 4, metric: 'l2', idType: 'number', dtype: 'f32', size: 0 })
  t.is(index.stats().m, 16)
  await index.add(range(4_999), vectors(4_999, 4))
  t.is((await index.migrate()).vectors, 0, 'below 5,000 rows there is nothing to migrate')
  t.is(index.migration.state, 'exact')
  await index.add([4_999], [[0, 0, 0, 0]])
  await index.migrate()
  t.deepEqual(index.migration, { state: 'graph', migrated: 5_000, total: 5_000, method: 'bulk' })
  t.is((await index.search([0, 0, 0, 0])).length, 10)
})

test('options are read when the index is made', (t) => {
  const options: IndexOptions = { dimensions: 2, metric: 'cosine' }
  const index = new VectorIndex(options as { dimensions: number; metric: 'cosine' })
  options.dimensions = 3
  options.metric = 'l2'
  t.is(index.dimensions, 2)
  t.is(index.metric, 'cosine')
})

test('threads are those of the pool: one of all cores, or the index’s own', (t) => {
  const shared = new VectorIndex({ dimensions: 2 }).stats().threads
  t.is(new VectorIndex({ dimensions: 2 }).stats().threads, shared)
  t.is(new VectorIndex({ dimensions: 2, threads: 3 }).stats().threads, 3)
})

test('m that is given is kept, whatever the data', async (t) => {
  const index = new VectorIndex({ dimensions: 8, m: 5, threshold: 0 })
  await index.add(range(500), vectors(500, 8))
  await index.migrate()
  const { m, meanDegree } = index.stats()
  t.is(m, 5)
  t.true(meanDegree > 0 && meanDegree <= 10)
})

test('capacity is a hint, never a cap', async (t) => {
  const index = new VectorIndex({ dimensions: 4, capacity: 10 })
  await index.add(range(1_000), vectors(1_000, 4))
  t.is(index.size, 1_000)
})

test('a capacity that no machine has hinders nobody', async (t) => {
  const index = new VectorIndex({ dimensions: 65_536, capacity: 2 ** 52 })
  await index.add([1], vectors(1, 65_536))
  await index.clear()
  await index.add([2], vectors(1, 65_536))
  t.is(index.size, 1)
})
