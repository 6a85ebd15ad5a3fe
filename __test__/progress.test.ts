import test, { type ExecutionContext } from 'ava'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { VectorIndex, type Progress } from 'vicinal'
import { range, sleep, until, vectors } from './helpers/data.js'
import { rejects, rejectsWith } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'

const dimensions = 32
const count = 20_000
const rows = vectors(count, dimensions)

interface Seen extends Progress {
  at: number
}

/** Runs a call and checks what it says about its progress. */
async function watched(
  t: ExecutionContext,
  phases: string[],
  call: (onProgress: (progress: Progress) => void) => Promise<unknown>,
): Promise<Seen[]> {
  const seen: Seen[] = []
  let settled = false
  await call((progress) => {
    t.false(settled, 'never after settling')
    seen.push({ ...progress, at: performance.now() })
  })
  settled = true
  await sleep(120)
  const last = seen.at(-1)!
  t.truthy(last, 'called at least once')
  t.is(last.done, last.total, 'a last call with done = total')
  for (const [i, { done, total, phase, at }] of seen.entries()) {
    t.true(phases.includes(phase), phase)
    t.true(Number.isInteger(done) && Number.isInteger(total) && done >= 0 && done <= total)
    const before = seen[i - 1]
    if (before === undefined) continue
    if (before.phase === phase) t.true(before.done <= done && before.total === total)
    if (i < seen.length - 1) t.true(at - before.at >= 49, `${at - before.at} ms between two calls`)
  }
  return seen
}

test('add and upsert tell how many rows are copied', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  const added = await watched(t, ['copy'], (onProgress) => index.add(range(count), rows, { onProgress }))
  t.is(added.at(-1)!.total, count)
  const replaced = await watched(t, ['copy'], (onProgress) => index.upsert(range(count), rows, { onProgress }))
  t.is(replaced.at(-1)!.total, count)
})

test('migrate tells how far a graph is that it builds, and how many rows it inserts', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 100, migration: 'manual', chunkSize: 20 })
  await index.add(range(count), rows)
  await index.migrateStep(1_000)
  const phases = ['partition', 'leaves', 'merge', 'swap', 'insert']
  const built = await watched(t, phases, (onProgress) => index.migrate({ onProgress }))
  t.is(built.at(-1)!.total, count - 1_000)
  const few = Math.floor(count / 20)
  await index.add(range(few, count), vectors(few, dimensions, 3))
  const inserted = await watched(t, ['insert'], (onProgress) => index.migrate({ onProgress }))
  t.is(inserted.at(-1)!.total, few)
})

test('compact tells the same phases as a migration, after the copy', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 100, migration: 'manual' })
  await index.add(range(count), rows)
  await index.migrate()
  await index.remove(range(count / 2))
  const phases = ['copy', 'partition', 'leaves', 'merge', 'swap']
  const seen = await watched(t, phases, (onProgress) => index.compact({ onProgress }))
  t.true(seen.every(({ total }) => total === count / 2))
  t.is(seen.at(-1)!.phase, 'swap')
  await watched(t, ['swap'], (onProgress) => index.compact({ onProgress }))
})

test('searchBatch and verify tell how far they are', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(count), rows)
  await watched(t, ['read'], (onProgress) => index.searchBatch(rows.subarray(0, 400 * dimensions), { onProgress }))
  await watched(t, ['verify'], (onProgress) => index.verify({ samples: 200, onProgress }))
})

test('save and load tell how far they are', async (t) => {
  const directory = await temporaryDirectory()
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(count), rows)
  const file = path.join(directory, 'index')
  await watched(t, ['write'], (onProgress) => index.save(file, { onProgress }))
  await watched(t, ['read'], (onProgress) => VectorIndex.load(file, { onProgress }))
})

test('what onProgress throws rejects migrate, which keeps what it moved', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 100, migration: 'manual', chunkSize: 20 })
  await index.add(range(count), rows)
  await index.migrate()
  const few = Math.floor(count / 20)
  await index.add(range(few, count), vectors(few, dimensions, 3))
  const error = new Error('the listener fails')
  let calls = 0
  const run = index.migrate({
    onProgress({ done }) {
      calls++
      if (done > 0) throw error
    },
  })
  await rejectsWith(t, run, error)
  const callsThen = calls
  await sleep(120)
  t.is(calls, callsThen)
  await until(() => index.migration.state === 'paused')
  const { migrated } = index.migration
  t.true(migrated > count && migrated < count + few)
  t.is((await index.migrate()).vectors, count + few - migrated)
})

test('what onProgress throws at its first call leaves everything as it was, however little there is to do', async (t) => {
  const directory = await temporaryDirectory()
  const index = new VectorIndex({ dimensions: 1, threshold: Infinity })
  await index.add([1], [[1]])
  const error = new Error('the listener fails')
  const onProgress = (): void => {
    throw error
  }
  for (let round = 0; round < 50; round++) {
    await rejectsWith(t, index.add([2], [[2]], { onProgress }), error)
    await rejectsWith(t, index.upsert([1], [[2]], { onProgress }), error)
    await rejectsWith(t, index.save(path.join(directory, 'index'), { onProgress }), error)
    await rejectsWith(t, index.compact({ onProgress }), error)
  }
  t.is(index.size, 1)
  t.deepEqual(index.get(1), Float32Array.of(1))
  t.deepEqual(await readdir(directory), [])
})

test('a signal that the last call aborts is heard', async (t) => {
  const index = new VectorIndex({ dimensions: 1, threshold: Infinity })
  const controller = new AbortController()
  const onProgress = ({ done, total }: Progress): void => {
    if (done === total) controller.abort(new Error('enough'))
  }
  const added = index.add([1], [[1]], { onProgress, signal: controller.signal })
  await t.throwsAsync(added, { message: 'enough' })
  t.is(index.size, 0)
})

test('addSync waits for writes whose listeners it keeps from being called, and what these throw comes too late', async (t) => {
  const index = new VectorIndex({ dimensions: 1, threshold: Infinity })
  let calls = 0
  const added = index.add([1], [[1]], {
    onProgress() {
      calls++
      throw new Error('the listener fails')
    },
  })
  index.addSync([2], [[2]])
  t.deepEqual([...index.keys()], [1, 2])
  await added
  t.is(calls, 1)
})

test('what onProgress throws at the last call of a checkpoint leaves the files as they were', async (t) => {
  const place = await temporaryDirectory()
  const index = await VectorIndex.open(place, { dimensions, durability: 'buffered', threshold: Infinity })
  const error = new Error('the listener fails')
  const onProgress = ({ done, total }: Progress): void => {
    if (done === total) throw error
  }
  const snapshots = async (): Promise<string[]> => (await readdir(place)).filter((name) => name.includes('snapshot'))
  for (const size of [0, 1, count]) {
    await index.clear()
    await index.add(range(size), rows.subarray(0, size * dimensions))
    const before = await snapshots()
    for (let round = 0; round < 10; round++) await rejectsWith(t, index.checkpoint({ onProgress }), error)
    t.deepEqual(await snapshots(), before)
    await index.checkpoint()
    t.notDeepEqual(await snapshots(), before)
    t.is(index.size, size)
  }
  await index.close()
  await using again = await VectorIndex.open(place)
  t.is(again.size, count)
})

test('a checkpoint does not wait for a listener that waits in addSync for what waits for the checkpoint', async (t) => {
  const place = await temporaryDirectory()
  const options = { dimensions, durability: 'buffered', threshold: 0, migration: 'manual' } as const
  await using index = await VectorIndex.open(place, options)
  await index.add(range(count), rows)
  let step: Promise<number> | undefined
  await index.checkpoint({
    onProgress() {
      if (step !== undefined) return
      step = index.migrateStep(1)
      index.addSync([count], rows.subarray(0, dimensions))
    },
  })
  t.is(await step, count - 1)
  t.is(index.size, count + 1)
})

test('a call that has nothing to do has an end all the same', async (t) => {
  const directory = await temporaryDirectory()
  const index = new VectorIndex({ dimensions: 1, threshold: 100 })
  const first = (await watched(t, ['insert'], (onProgress) => index.migrate({ onProgress })))[0]!
  t.deepEqual([first.done, first.total], [0, 0])
  await index.add(range(10), Float32Array.from(range(10)))
  await watched(t, ['insert'], (onProgress) => index.migrate({ onProgress }))
  await watched(t, ['copy'], (onProgress) => index.add([], [], { onProgress }))
  await watched(t, ['read'], (onProgress) => index.searchBatch([], { onProgress }))
  await watched(t, ['swap'], (onProgress) => index.compact({ onProgress }))
  await watched(t, ['write'], (onProgress) => index.toBytes({ onProgress }))
  await watched(t, ['verify'], (onProgress) => new VectorIndex({ dimensions: 1 }).verify({ onProgress }))
  await using opened = await VectorIndex.open(path.join(directory, 'unchanged'), { dimensions: 1 })
  await watched(t, ['write'], (onProgress) => opened.checkpoint({ onProgress }))
})

test('a save of nothing calls once', async (t) => {
  const directory = await temporaryDirectory()
  const index = new VectorIndex({ dimensions: 1 })
  for (let round = 0; round < 20; round++) {
    let calls = 0
    await index.save(path.join(directory, 'index'), { onProgress: () => calls++ })
    t.is(calls, 1)
  }
})

test('the time between two calls is counted from the end of the first', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(count), rows)
  const pauses: number[] = []
  let end: number | undefined
  await index.verify({
    samples: 2_000,
    onProgress({ done, total }) {
      const start = performance.now()
      if (end !== undefined && done < total) pauses.push(start - end)
      while (performance.now() < start + 30);
      end = performance.now()
    },
  })
  t.true(pauses.length > 0 && Math.min(...pauses) >= 49, pauses.join(', '))
})

test('what onProgress throws rejects every call', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(count), rows)
  const error = new TypeError('the listener fails')
  const onProgress = (): void => {
    throw error
  }
  await rejectsWith(t, index.add(range(count, count), rows, { onProgress }), error)
  await rejectsWith(t, index.upsert(range(count), rows, { onProgress }), error)
  await rejectsWith(t, index.searchBatch(rows.subarray(0, 400 * dimensions), { onProgress }), error)
  await rejectsWith(t, index.verify({ samples: 100, onProgress }), error)
  t.is(index.size, count)
})

test('onProgress must be a function', async (t) => {
  const index = new VectorIndex({ dimensions: 1 })
  for (const onProgress of [null, {}, 'log', 1] as never[]) {
    const message = /onProgress.*got .*expected /
    await rejects(t, () => index.add([1], [[1]], { onProgress }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.upsert([1], [[1]], { onProgress }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.migrate({ onProgress }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.verify({ onProgress }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.searchBatch([[1]], { onProgress }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => index.save('x', { onProgress }), 'ERR_INVALID_ARGUMENT', message)
    await rejects(t, () => VectorIndex.load('x', { onProgress }), 'ERR_INVALID_ARGUMENT', message)
  }
  for (const work of [null, 5, [], 'x', { signals: 1 }] as never[]) {
    await rejects(t, () => index.add([1], [[1]], work), 'ERR_INVALID_ARGUMENT')
    await rejects(t, () => index.migrate(work), 'ERR_INVALID_ARGUMENT')
  }
  t.is(index.size, 0)
})
