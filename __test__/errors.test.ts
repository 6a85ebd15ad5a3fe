import test from 'ava'
import { VectorIndex, VicinalError } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range, vectors } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'

// ERR_CLOSED is provoked in close.test.ts, files' errors in save-errors.test.ts, ERR_INTERNAL in internal.test.ts.

async function filled(): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions: 2, metric: 'cosine' })
  await index.add([1, 2], [[1, 2], [3, 4]]) // prettier-ignore
  return index
}

const one = [[1, 1]]

test('every error says what it got and what it expected, and leaves the index as it was', async (t) => {
  const index = await filled()
  const before = await contents(index)
  const failures = [
    [() => index.add([3, 4], [[1, 1], [1]]), 'ERR_DIMENSION_MISMATCH', 'row 1: got 1 values, expected 2'], // prettier-ignore
    [
      () => index.add([3, 4], Float32Array.of(1, 2, 3)),
      'ERR_DIMENSION_MISMATCH',
      'got 3 values, expected a multiple of 2',
    ],
    [() => index.search([1, 2, 3]), 'ERR_DIMENSION_MISMATCH', 'got 3 values, expected 2'],
    [() => index.add([3, 4], [[1, 1], [NaN, 1]]), 'ERR_INVALID_VECTOR', /row 1: got NaN.*, expected /], // prettier-ignore
    [() => index.add([3, 4], [[1, 1], [0, 0]]), 'ERR_INVALID_VECTOR', /row 1: got .*, expected /], // prettier-ignore
    [() => index.search([Infinity, 0]), 'ERR_INVALID_VECTOR', /got (inf|Infinity).*, expected /],
    [() => index.add([3, 2], [[1, 1], [1, 1]]), 'ERR_DUPLICATE_ID', /row 1: got id 2, .*expected /], // prettier-ignore
    [() => index.upsert([3, 3], [[1, 1], [1, 1]]), 'ERR_DUPLICATE_ID', /row 1: got id 3, .*expected /], // prettier-ignore
    [() => index.add([3], [[1, 1], [1, 1]]), 'ERR_INVALID_ARGUMENT', 'ids.length: got 1, expected the number of vectors, 2'], // prettier-ignore
    [() => index.add([3, 0.5], [[1, 1], [1, 1]]), 'ERR_INVALID_ARGUMENT', 'ids: got 0.5 in row 1, expected a safe integer'], // prettier-ignore
    [() => index.search([1, 1], { k: 0 }), 'ERR_INVALID_ARGUMENT', /^k: got 0, expected a whole number/],
    [
      () => index.search([1, 1], { recall: 0.9, ef: 10 }),
      'ERR_INVALID_ARGUMENT',
      /^recall: got 0\.9, expected none where ef/,
    ],
    [() => index.search([1, 1], { ef: 1.5 }), 'ERR_INVALID_ARGUMENT', /^ef: got 1\.5, expected a whole number/],
    [() => index.searchById(77), 'ERR_INVALID_ARGUMENT', /^id: got 77, expected /],
  ] as const
  for (const [call, code, message] of failures) {
    const error = await t.throwsAsync(call, { instanceOf: VicinalError, code, message })
    t.is(error!.name, 'VicinalError')
    t.deepEqual(await contents(index), before)
  }
})

test('sync calls throw what async ones reject with', async (t) => {
  const index = await filled()
  const before = await contents(index)
  const pairs: [() => unknown, () => Promise<unknown>][] = [
    [() => index.addSync([1], one), () => index.add([1], one)],
    [() => index.addSync([3], [[1]]), () => index.add([3], [[1]])],
    [() => index.addSync([3], [[NaN, 1]]), () => index.add([3], [[NaN, 1]])],
    [() => index.addSync([3], Float64Array.of(1e300, 1)), () => index.add([3], Float64Array.of(1e300, 1))],
    [() => index.addSync(['3'] as never, one), () => index.add(['3'] as never, one)],
    [() => index.searchSync([1]), () => index.search([1])],
    [() => index.searchSync([0, 0]), () => index.search([0, 0])],
    [() => index.searchSync([1, 1], { k: -1 }), () => index.search([1, 1], { k: -1 })],
    [() => index.searchSync([1, 1], { filter: [1.5] }), () => index.search([1, 1], { filter: [1.5] })],
    [() => index.searchSync([1, 1], { filter: Float64Array.of(1.5) }), () => index.search([1, 1], { filter: Float64Array.of(1.5) })], // prettier-ignore
  ]
  for (const [sync, async] of pairs) {
    const thrown = t.throws(sync, { instanceOf: VicinalError }) as VicinalError
    const rejected = (await t.throwsAsync(async, { instanceOf: VicinalError })) as VicinalError
    t.is(thrown.code, rejected.code)
    t.is(thrown.message, rejected.message)
  }
  t.deepEqual(await contents(index), before)
})

test('no argument at all is an invalid argument, never anything else', async (t) => {
  const index = (await filled()) as unknown as Record<string, (...args: unknown[]) => unknown>
  for (const name of ['add', 'upsert', 'remove', 'getMany', 'search', 'searchById', 'searchBatch', 'idSet', 'save']) {
    await rejects(t, () => index[name]!() as Promise<unknown>, 'ERR_INVALID_ARGUMENT')
  }
  for (const name of ['addSync', 'get', 'has', 'searchSync']) throws(t, () => index[name]!(), 'ERR_INVALID_ARGUMENT')
  await rejects(t, () => (VectorIndex.load as () => Promise<unknown>)(), 'ERR_INVALID_ARGUMENT')
})

test('what user code throws while arguments are read is passed on', async (t) => {
  const index = await filled()
  const error = new Error('from a getter')
  const trap = {
    get() {
      throw error
    },
  }
  const bad = Object.defineProperty([], 0, trap) as number[]
  t.is(await t.throwsAsync(() => index.add(bad, one)), error)
  t.is(await t.throwsAsync(() => index.search(Object.defineProperty([0, 0], 1, trap))), error)
  t.is(await t.throwsAsync(() => index.search([1, 1], Object.defineProperty({}, 'k', { ...trap, enumerable: true }))), error) // prettier-ignore
  t.is(index.size, 2)
})

test('memory that cannot be had is refused, and the index is as it was', async (t) => {
  const message = /out of memory.*got .*expected /
  const index = await filled()
  const before = await contents(index)
  for (const k of [2 ** 50, Number.MAX_SAFE_INTEGER]) {
    await rejects(t, () => index.searchBatch(one, { k }), 'ERR_OUT_OF_MEMORY', message)
  }
  t.deepEqual(await contents(index), before)
  await index.add([9], one)
})

test('errors are errors: named, with a stack, a code, and no cause where there is none', async (t) => {
  const index = await filled()
  const error = await rejects(t, () => index.add([1], one), 'ERR_DUPLICATE_ID')
  t.is(Object.prototype.toString.call(error), '[object Error]')
  t.true(error.stack!.startsWith('VicinalError: '))
  t.is(error.cause, undefined)
  t.false('cause' in error)
  t.deepEqual(Object.keys(error), ['code'])
  const own = new VicinalError('ERR_INTERNAL', 'made by hand', { cause: error })
  t.is(own.cause, error)
})

test('failures of many calls at once are each their own', async (t) => {
  const index = await filled()
  const outcomes = await Promise.allSettled(
    range(300).map((i) => {
      if (i % 3 === 0) return index.add([100 + i], vectors(1, 2, i))
      if (i % 3 === 1) return index.add([1], one)
      return index.search([NaN, i])
    }),
  )
  const codes = outcomes.map((outcome) =>
    outcome.status === 'rejected' ? (outcome.reason as VicinalError).code : 'ok',
  )
  t.deepEqual(codes, range(300).map((i) => ['ok', 'ERR_DUPLICATE_ID', 'ERR_INVALID_VECTOR'][i % 3]!)) // prettier-ignore
  t.is(index.size, 102)
})
