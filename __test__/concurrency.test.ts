import test, { type ExecutionContext } from 'ava'
import path from 'node:path'
import { VectorIndex, type Hit } from 'vicinal'
import { random, range, rowOf, sleep, vectors } from './helpers/data.js'
import { temporaryDirectory } from './helpers/files.js'
import { distance } from './helpers/naive.js'

const dimensions = 16

/** The row that an id has in its given version. */
function version(id: number, number: number): Float32Array {
  return vectors(1, dimensions, id * 1_000 + number)
}

/** The rows that an id may have: those below 1,000 have five versions, the others one. */
function possible(id: number): Float32Array[] {
  return range(id < 1_000 ? 5 : 1).map((number) => version(id, number))
}

function checkHits(t: ExecutionContext, query: Float32Array, hits: readonly Hit<number>[]): void {
  t.is(new Set(hits.map(({ id }) => id)).size, hits.length, 'no id twice')
  for (const [rank, { id, distance: found }] of hits.entries()) {
    const isOneOf = possible(id).some((row) => Math.abs(distance('l2', query, row) - found) < 1e-4)
    if (!isOneOf) t.fail(`id ${id} at ${found}`)
    if (rank > 0 && hits[rank - 1]!.distance > found) t.fail('nearest first')
  }
}

async function checkBatch(
  t: ExecutionContext,
  index: VectorIndex,
  queries: Float32Array,
  filter: number[] | undefined,
): Promise<void> {
  const k = 7
  const { ids, distances, counts } = await index.searchBatch(queries, { k, filter })
  for (let row = 0; row * dimensions < queries.length; row++) {
    t.is(counts[row], k)
    const places = range(k, row * k)
    const hits = places.map((place) => ({ id: ids[place] as number, distance: distances[place]! }))
    if (filter) t.true(hits.every(({ id }) => filter.includes(id)))
    checkHits(t, rowOf(queries, row, dimensions), hits)
  }
}

test('hundreds of calls at once, every answer valid', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 500, chunkSize: 50 })
  const calls: Promise<unknown>[] = []
  const next = random(1)
  await index.add(range(1_000), range(1_000).map((id) => version(id, 0))) // prettier-ignore
  for (let i = 0; i < 400; i++) {
    const query = vectors(1, dimensions, 7_000_000 + i)
    const id = 1_000 + i * 5
    calls.push(
      index.add(range(5, id), range(5, id).map((one) => version(one, 0))), // prettier-ignore
      index.search(query, { k: 20 }).then((hits) => checkHits(t, query, hits)),
    )
    if (i % 4 === 0) {
      const replaced = Math.floor(next() * 1_000)
      calls.push(index.upsert([replaced], [version(replaced, 1 + (i % 4))]))
    }
    if (i % 5 === 0) calls.push(index.remove([id, id + 1]).then((removed) => t.is(removed, 2)))
    if (i % 20 === 0) {
      const queries = vectors(10, dimensions, 8_000_000 + i)
      calls.push(checkBatch(t, index, queries, i % 40 ? range(500) : undefined))
    }
    if (i % 50 === 0) calls.push(index.verify({ samples: 20 }), index.migrate())
    if (i % 10 === 0) {
      const sought = 500 + i
      const byId = index.searchById(sought, { k: 5 })
      calls.push(byId.then((hits) => t.false(hits.some((hit) => hit.id === sought))))
    }
  }
  await Promise.all(calls)
  t.is(index.size, 1_000 + 400 * 5 - 80 * 2)
  await index.migrate()
  t.like(index.migration, { state: 'graph', migrated: index.size })
  const { unreachable, recall } = await index.verify({ samples: 300, ef: 100 })
  t.is(unreachable, 0)
  t.true(recall > 0.95, String(recall))
})

test('an id that is replaced all the time is always found', async (t) => {
  // So many rows that upserts come in the middle of searches.
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  const id = 20_000
  await index.add(range(20_001), vectors(20_001, dimensions))
  const row = version(id, 0)
  const moved = row.map((value) => value + 1e-3)
  const writes = range(3_000).map((i) => index.upsert([id], [i % 2 ? row : moved]))
  const last = writes.at(-1)!.then(() => true)
  for (let ended = false; !ended; ended = await Promise.race([last, sleep(0).then(() => false)])) {
    const answers = await Promise.all(range(20).map(() => index.search(row, { k: 1 })))
    t.true(answers.every(([hit]) => hit!.id === id && hit!.distance < 1e-3))
    t.true(index.has(id))
    t.truthy(index.get(id))
  }
  await Promise.all(writes)
  t.is(index.size, 20_001)
})

test('many indexes at once share the pool', async (t) => {
  const rows = vectors(600, dimensions)
  const indexes = range(30).map(() => new VectorIndex({ dimensions, threshold: 100 }))
  await Promise.all(indexes.map((index) => index.add(range(600), rows)))
  await Promise.all(indexes.map((index) => index.migrate()))
  const answers = await Promise.all(indexes.map((index) => index.search(rowOf(rows, 5, dimensions), { k: 3 })))
  for (const hits of answers) t.deepEqual(hits[0], { id: 5, distance: 0 })
  await Promise.all(indexes.map((index) => index.close()))
})

test('searches do not queue behind longer work', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(20_000), vectors(20_000, dimensions))
  let ended = false
  const long = index.verify({ samples: 3_000 }).finally(() => (ended = true))
  t.is((await index.search(vectors(1, dimensions), { k: 1 })).length, 1)
  t.false(ended)
  await long
})

test('no call waits for long ones of other indexes', async (t) => {
  const file = path.join(await temporaryDirectory(), 'index')
  const rows = vectors(20_000, dimensions)
  const busy = new VectorIndex({ dimensions, threshold: Infinity, threads: 1 })
  await busy.add(range(20_000), rows)
  const controller = new AbortController()
  const { signal } = controller
  let ended = 0
  const long = range(20).map((i) =>
    i % 2 ? busy.verify({ signal, samples: 20_000 }) : busy.searchBatch(rows, { signal }),
  )
  const settled = Promise.allSettled(long.map((call) => call.finally(() => ended++)))

  const index = new VectorIndex({ dimensions })
  await index.add(range(100), rows.subarray(0, 100 * dimensions))
  t.true(index.has(5))
  t.deepEqual(index.get(5), rowOf(rows, 5, dimensions).slice())
  const filter = await index.idSet([7])
  const query = rowOf(rows, 5, dimensions)
  for (const given of [filter, [7], new Set([7])]) {
    t.like(await index.search(query, { filter: given }), [{ id: 7 }])
    t.deepEqual((await index.searchBatch(query, { filter: given, k: 1 })).ids, Float64Array.of(7))
  }
  t.deepEqual((await index.getMany([5, 500])).found, Uint8Array.of(1, 0))
  await index.upsert([5], query)
  t.is(await index.remove(5), 1)
  await index.save(file)
  t.is((await VectorIndex.load(file)).size, 99)
  await index.close()
  t.is(ended, 0)
  controller.abort()
  await settled
})

test('a migration ends while rows are removed and queries take all threads', async (t) => {
  const count = 3_000
  const index = new VectorIndex({ dimensions, threshold: 500, chunkSize: 50, migration: 'manual' })
  const rows = vectors(count, dimensions)
  await index.add(range(count), rows)
  const removed = new Set<number>()
  const run = { ended: false, answers: 0 }
  const ask = async (seed: number): Promise<void> => {
    for (const next = random(seed); !run.ended; run.answers++) {
      const id = Math.floor(next() * count)
      const query = rowOf(rows, id, dimensions)
      const gone = new Set(removed)
      const hits = await index.search(query, { k: 5, ef: 50 })
      if (hits.some((hit) => gone.has(hit.id))) t.fail('a removed row is not found')
      if (id % 3 > 0 && hits[0]!.id !== id) t.fail(`row ${id} is always found`)
    }
  }
  const remove = async (): Promise<void> => {
    for (let id = 0; !run.ended && id < count; id += 3) {
      t.is(await index.remove(id), 1)
      removed.add(id)
    }
  }
  const others = [...range(32).map(ask), remove()]
  // Its target is what was there at the call; some of it is removed before it comes to it.
  const { vectors: moved } = await index.migrate()
  run.ended = true
  await Promise.all(others)
  t.true(moved <= count && moved >= count - removed.size)
  t.like(index.migration, { state: 'graph', migrated: index.size, total: count - removed.size })
  t.true(removed.size > 0 && run.answers > 100, `${removed.size} removed, ${run.answers} answers`)
  const { recall, unreachable } = await index.verify({ samples: 500, ef: 100 })
  t.is(unreachable, 0)
  t.true(recall > 0.95, String(recall))
})
