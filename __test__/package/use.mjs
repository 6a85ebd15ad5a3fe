// Runs in the empty project: the consumer's two builds, loaded into one process.
import assert from 'node:assert/strict'
import * as esm from './consumer.mjs'
import cjs from './consumer.cjs'

for (const consumer of [esm, cjs]) {
  assert.deepEqual(await consumer.nearest(), [2, 1])
  assert.equal(consumer.failure().code, 'ERR_INVALID_ARGUMENT')
}
assert.deepEqual(esm.names, cjs.names)
assert.equal(esm.VicinalError, cjs.VicinalError)
assert.ok(cjs.failure() instanceof esm.VicinalError)
assert.ok(esm.failure() instanceof cjs.VicinalError)
