import test from 'ava'
import { createRequire } from 'node:module'
import * as esm from 'vicinal'

const cjs = createRequire(import.meta.url)('vicinal') as typeof esm

test('import and require give the same classes', (t) => {
  t.is(cjs.VectorIndex, esm.VectorIndex)
  t.is(cjs.VicinalError, esm.VicinalError)
  t.deepEqual(Object.keys(esm).sort(), ['VectorIndex', 'VicinalError'])
  t.deepEqual(Object.keys(cjs).sort(), ['VectorIndex', 'VicinalError'])
})

test('errors and indexes of the one are those of the other', async (t) => {
  const index = new cjs.VectorIndex({ dimensions: 1 })
  t.true(index instanceof esm.VectorIndex)
  t.throws(() => index.searchSync([1, 2]), { instanceOf: esm.VicinalError })
  await t.throwsAsync(() => index.search([1, 2]), { instanceOf: esm.VicinalError })
  t.throws(() => new esm.VectorIndex({ dimensions: 0 }), { instanceOf: cjs.VicinalError })
})

test('classes have the names that users know', async (t) => {
  t.is(esm.VectorIndex.name, 'VectorIndex')
  t.is(esm.VicinalError.name, 'VicinalError')
  const call = esm.VectorIndex as unknown as () => unknown
  t.throws(call, { instanceOf: TypeError, message: /VectorIndex cannot be invoked without 'new'/ })
  const index = new esm.VectorIndex({ dimensions: 1 })
  t.is(Object.getPrototypeOf(await index.idSet([])).constructor.name, 'IdSet')
})
