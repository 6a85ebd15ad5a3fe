import test from 'ava'
import path from 'node:path'
import { VectorIndex } from 'vicinal'
import { range, vectors } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'

const dimensions = 16
const rows = vectors(3_000, dimensions)
const query = rows.subarray(0, dimensions)

async function filled(): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions, metric: 'cosine' })
  await index.add(range(3_000), rows)
  return index
}

test('calls accepted before close finish, all of them', async (t) => {
  const index = await filled()
  const file = path.join(await temporaryDirectory(), 'index')
  const calls = [
    index.add(range(3_000, 3_000), rows),
    index.remove(range(10)),
    index.save(file),
    index.search(query),
    index.searchBatch(rows, { k: 1 }),
    index.getMany(range(3_000)),
    index.verify({ samples: 50 }),
    index.idSet([1]),
  ]
  await index.close()
  const outcomes = await Promise.allSettled(calls)
  t.true(outcomes.every(({ status }) => status === 'fulfilled'))
  t.is((outcomes[1] as PromiseFulfilledResult<unknown>).value, 10)
  t.is((await VectorIndex.load(file)).size, 5_990)
})

test('calls after close are refused', async (t) => {
  const index = await filled()
  const keys = index.keys()
  const set = await index.idSet([1])
  const closing = index.close()
  const asynchronous: (() => Promise<unknown>)[] = [
    () => index.add([1], [query]),
    () => index.upsert([1], [query]),
    () => index.remove([1]),
    () => index.remove(1),
    () => index.clear(),
    () => index.getMany([1]),
    () => index.search(query),
    () => index.search(query, { filter: set }),
    () => index.searchById(1),
    () => index.searchBatch(rows),
    () => index.idSet([1]),
    () => index.migrate(),
    () => index.migrateStep(),
    () => index.compact(),
    () => index.verify(),
    () => index.save('never'),
  ]
  const synchronous: (() => unknown)[] = [
    () => index.addSync([1], [query]),
    () => index.get(1),
    () => index.has(1),
    () => index.keys(),
    () => index.searchSync(query),
    () => index.pauseMigration(),
    () => index.resumeMigration(),
    () => index.stats(),
  ]
  for (let round = 0; round < 2; round++) {
    for (const call of asynchronous) await rejects(t, call, 'ERR_CLOSED')
    for (const call of synchronous) throws(t, call, 'ERR_CLOSED')
    await closing
  }
  t.is([...keys].length, 3_000, 'what was begun can be read to its end')
})

test('what an index is stays readable', async (t) => {
  const index = await filled()
  await index.remove([1])
  await index.close()
  t.like(index, { size: 2_999, dimensions, metric: 'cosine', idType: 'number', dtype: 'f32' })
  t.notThrows(() => index.migration)
})

test('close may be called again', async (t) => {
  const index = await filled()
  await Promise.all([index.close(), index.close(), index.close()])
  await index.close()
  t.is(index.size, 3_000)
})

test('close stops a migration in the background', async (t) => {
  const index = new VectorIndex({ dimensions: 128, threshold: 100, chunkSize: 50 })
  await index.add(range(20_000), vectors(20_000, 128))
  // On a busy machine a thread of low priority takes long to stop, but it would take far longer to finish.
  const stopped = rejects(t, () => index.migrate(), 'ERR_CLOSED')
  await index.close()
  await stopped
  t.is(index.size, 20_000)
})

test('using disposes', async (t) => {
  const index = await filled()
  const pending = index.search(query)
  index[Symbol.dispose]()
  index[Symbol.dispose]()
  throws(t, () => index.searchSync(query), 'ERR_CLOSED')
  t.is((await pending).length, 10)
  const other = await filled()
  const disposed = other[Symbol.asyncDispose]()
  throws(t, () => other.get(1), 'ERR_CLOSED')
  t.is(await disposed, undefined)
})

test('closing one index leaves the others', async (t) => {
  const [one, other] = [await filled(), await filled()]
  await one.close()
  t.is((await other.search(query, { k: 1 }))[0]!.id, 0)
  await other.add([9_999], [query])
})
