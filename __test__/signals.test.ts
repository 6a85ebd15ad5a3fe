import test from 'ava'
import { getEventListeners } from 'node:events'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { VectorIndex } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range, sleep, vectors } from './helpers/data.js'
import { rejects, rejectsWith } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'

const dimensions = 32
const count = 1_000
const rows = vectors(count, dimensions)
const negated = rows.map((value) => -value)
/** Enough rows to keep a writer busy while others are called and aborted. */
const many = vectors(30_000, dimensions)

const directory = await temporaryDirectory()

/** Large enough that loading it takes a while. */
const saved = path.join(directory, 'saved')
const large = new VectorIndex({ dimensions, threshold: Infinity })
await large.add(range(30_000), many)
await large.save(saved)

/** Every call that takes a signal. */
const calls: Record<string, (index: VectorIndex, signal: AbortSignal, file: string) => Promise<unknown>> = {
  add: (index, signal) => index.add(range(count, count), rows, { signal }),
  upsert: (index, signal) => index.upsert(range(count), negated, { signal }),
  search: (index, signal) => index.search(rows.subarray(0, dimensions), { signal }),
  searchById: (index, signal) => index.searchById(1, { signal }),
  searchBatch: (index, signal) => index.searchBatch(rows, { signal, exact: true }),
  migrate: (index, signal) => index.migrate({ signal }),
  compact: (index, signal) => index.compact({ signal }),
  verify: (index, signal) => index.verify({ signal, samples: count }),
  save: (index, signal, file) => index.save(file, { signal }),
  load: (_, signal) => VectorIndex.load(saved, { signal }),
}

async function filled(): Promise<VectorIndex> {
  const index = new VectorIndex({ dimensions, threshold: 100, migration: 'manual' })
  await index.add(range(count), rows)
  return index
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}

for (const [name, call] of Object.entries(calls)) {
  test(`${name}: a signal that is aborted already rejects with its reason, and nothing is done`, async (t) => {
    const index = await filled()
    const before = await contents(index)
    const file = path.join(directory, `${name}-refused`)
    for (const reason of [undefined, new Error('mine'), 'a string', null, 0]) {
      const signal = AbortSignal.abort(reason)
      await rejectsWith(t, call(index, signal, file), signal.reason)
      t.is(listeners(signal), 0)
    }
    t.deepEqual(await contents(index), before)
    t.false(existsSync(file))
  })

  test(`${name}: a signal that is never aborted loses its listeners`, async (t) => {
    const index = await filled()
    const { signal } = new AbortController()
    await call(index, signal, path.join(directory, name))
    t.is(listeners(signal), 0)
  })

  test(`${name}: aborted right after the call it rejects with the reason, unless it was done`, async (t) => {
    const index = await filled()
    // Keeps the writes waiting, so that they are aborted before they begin.
    const before = index.upsert(range(30_000), many)
    const controller = new AbortController()
    const reason = new Error('changed my mind')
    const file = path.join(directory, `${name}-aborted`)
    const aborted = call(index, controller.signal, file)
    controller.abort(reason)
    await rejectsWith(t, aborted, reason)
    t.is(listeners(controller.signal), 0)
    await before
    t.is(index.size, 30_000)
    t.deepEqual(index.get(3), many.slice(3 * dimensions, 4 * dimensions))
    t.is(index.migration.state, 'exact')
    t.false(existsSync(file))
    controller.abort('again')
  })
}

test('a write that was aborted while it waited lets the next ones go on', async (t) => {
  const index = await filled()
  const controller = new AbortController()
  const first = index.upsert(range(30_000, count + 1), many)
  const aborted = index.add([count], [rows.subarray(0, dimensions)], { signal: controller.signal })
  const last = index.add([count], [rows.subarray(dimensions, 2 * dimensions)])
  controller.abort()
  await rejectsWith(t, aborted, controller.signal.reason)
  await Promise.all([first, last])
  t.deepEqual(index.get(count), rows.slice(dimensions, 2 * dimensions))
})

test('an add that is aborted at work has added nothing', async (t) => {
  let aborted = 0
  for (const delay of [0, 1, 2, 4, 8, 16]) {
    const index = new VectorIndex({ dimensions, threshold: Infinity })
    const controller = new AbortController()
    const add = index.add(range(30_000), many, { signal: controller.signal })
    const before = performance.now()
    while (performance.now() - before < delay);
    controller.abort('late')
    const outcome = await add.then(
      () => 'added',
      (reason: unknown) => reason,
    )
    t.true(outcome === 'late' || outcome === 'added')
    t.is(index.size, outcome === 'late' ? 0 : 30_000)
    if (outcome === 'late') {
      aborted++
      t.deepEqual([...index.keys()], [])
      await index.add([5], [rows.subarray(0, dimensions)])
      t.is((await index.search(rows.subarray(0, dimensions)))[0]!.id, 5)
    }
    t.is(listeners(controller.signal), 0)
  }
  t.true(aborted > 0)
})

test('a signal after the commit point is ignored', async (t) => {
  const index = await filled()
  const controller = new AbortController()
  await index.add([count], [rows.subarray(0, dimensions)], { signal: controller.signal })
  controller.abort()
  await sleep(20)
  t.true(index.has(count))
})

test.serial('calls that change nothing reject as soon as they are aborted, however long they take', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(30_000), many)
  const query = rows.subarray(0, dimensions)
  /** Takes a while to be prepared. */
  const filter = range(500_000)
  const reading: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    load: (signal) => VectorIndex.load(saved, { signal }),
    verify: (signal) => index.verify({ signal, samples: 30_000 }),
    search: (signal) => index.search(query, { signal, filter }),
    searchById: (signal) => index.searchById(1, { signal, filter }),
    searchBatch: (signal) => index.searchBatch(many, { signal }),
    'searchBatch with a filter': (signal) => index.searchBatch(many, { signal, filter }),
  }
  for (const [name, call] of Object.entries(reading)) {
    const controller = new AbortController()
    const outcome = call(controller.signal).catch((reason: unknown) => reason)
    await new Promise(setImmediate)
    controller.abort(name)
    // Promises settle before this, and messages from other threads arrive after it.
    t.is(await Promise.race([outcome, new Promise(process.nextTick)]), name)
    t.is(listeners(controller.signal), 0)
  }
  await index.close()
})

test('many calls may follow one signal', async (t) => {
  const index = await filled()
  const controller = new AbortController()
  const { signal } = controller
  const search = (): Promise<unknown> => index.search(rows.subarray(0, dimensions), { signal, exact: true })
  const unharmed = range(50).map(search)
  t.is(listeners(signal), 1)
  await Promise.all(unharmed)
  t.is(listeners(signal), 0)
  const aborted = range(50).map(search)
  controller.abort('all')
  for (const call of aborted) await rejectsWith(t, call, 'all')
  t.is(listeners(signal), 0)
})

test.serial('long writes hear a signal soon', async (t) => {
  const written = 200_000
  const values = vectors(written, 8)
  const words = range(written).map((id) => `a string that names row ${id}`)
  const file = path.join(directory, 'long')
  for (const [name, call] of Object.entries({
    add: (index: VectorIndex<string>, signal: AbortSignal) => index.add(words, values, { signal }),
    upsert: (index: VectorIndex<string>, signal: AbortSignal) => index.upsert(words, values, { signal }),
    save: (index: VectorIndex<string>, signal: AbortSignal) => index.save(file, { signal }),
  })) {
    let longest = 0
    for (const delay of [0, 5, 10, 20, 40]) {
      const index = new VectorIndex({ dimensions: 8, idType: 'string', threshold: Infinity })
      if (name !== 'add') await index.add(words, values)
      const controller = new AbortController()
      const outcome = call(index, controller.signal).catch((reason: unknown) => reason)
      await sleep(delay)
      const start = performance.now()
      controller.abort('late')
      if ((await outcome) === 'late') longest = Math.max(longest, performance.now() - start)
      await index.close()
    }
    t.log(`${name}: ${longest.toFixed(1)} ms`)
    // 50 ms are promised; the machine may be busy.
    t.true(longest > 0 && longest < 500, `${name}: ${longest} ms`)
  }
})

test('searchSync looks at the signal before it starts', async (t) => {
  const index = await filled()
  const reason = new Error('no')
  t.is(
    t.throws(() => index.searchSync(rows.subarray(0, dimensions), { signal: AbortSignal.abort(reason) })),
    reason,
  )
  const { signal } = new AbortController()
  t.is(index.searchSync(rows.subarray(0, dimensions), { signal, k: 1 }).length, 1)
  t.is(listeners(signal), 0)
})

test('what has the methods of a signal is one', async (t) => {
  const index = await filled()
  const events = new EventTarget()
  const signal = Object.assign(events, { aborted: false, reason: 'own' })
  const before = index.upsert(range(30_000, count + 1), many)
  const aborted = index.add([count], [rows.subarray(0, dimensions)], { signal })
  signal.aborted = true
  events.dispatchEvent(new Event('abort'))
  await rejectsWith(t, aborted, 'own')
  await before
  for (const other of [{}, { aborted: false }, 'x', 1, null] as never[]) {
    await rejects(t, () => index.add([count], [range(dimensions)], { signal: other }), 'ERR_INVALID_ARGUMENT', /signal/)
  }
})

test('a signal that throws, or aborts while it is asked, stops the call before it has begun', async (t) => {
  const index = await filled()
  const before = await contents(index)
  const error = new Error('no listeners here')
  const throwing = {
    aborted: false,
    addEventListener() {
      throw error
    },
    removeEventListener() {},
  }
  const aborting = {
    aborted: false,
    reason: error,
    addEventListener() {
      this.aborted = true
    },
    removeEventListener() {},
  }
  for (const signal of [throwing, throwing, aborting]) {
    await rejectsWith(t, index.add([count], [rows.subarray(0, dimensions)], { signal }), error)
  }
  await index.remove([count])
  t.deepEqual(await contents(index), before)
})
