// What durability costs, in one run: `node --import @oxc-node/core/register benches/durability.ts [directory]`. The
// directory, by default one of the system's for temporary files, should be on the disk that is asked about.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { VectorIndex } from 'vicinal'
import { median } from './compare/curves.js'

const dimensions = 128
const rows = 200_000
const batch = 1_000
const place = mkdtempSync(path.join(process.argv[2] ?? tmpdir(), 'vicinal-durability-'))
let places = 0

const vectors = Float32Array.from({ length: rows * dimensions }, () => Math.random())
const ids = Array.from({ length: rows }, (_, id) => id)
/** Without a graph, whose construction would run beside it. */
const options = { dimensions, threshold: Infinity }

const newPlace = (): string => path.join(place, `${places++}`)
const open = (durability: 'fsync' | 'buffered') => VectorIndex.open(newPlace(), { ...options, durability })

/** Rows a second of batches, one after the other. */
async function addBatches(index: VectorIndex): Promise<number> {
  const start = performance.now()
  for (let row = 0; row < rows; row += batch) {
    await index.add(ids.slice(row, row + batch), vectors.subarray(row * dimensions, (row + batch) * dimensions))
  }
  return (1_000 * rows) / (performance.now() - start)
}

/** Rows a second of the same bytes, appended to a file and synced, batch by batch. */
function appendBatches(): number {
  const bytes = Buffer.from(vectors.buffer, 0, batch * dimensions * 4)
  const file = openSync(newPlace(), 'ax')
  const start = performance.now()
  for (let row = 0; row < rows; row += batch) {
    writeSync(file, bytes)
    fdatasyncSync(file)
  }
  const seconds = (performance.now() - start) / 1_000
  closeSync(file)
  return rows / seconds
}

/** Adds of one row a second, by so many callers each of which waits for its own. */
async function addSingly(callers: number, seconds: number): Promise<number> {
  const index = await open('fsync')
  let next = 0
  const start = performance.now()
  const call = async (): Promise<void> => {
    while (performance.now() - start < seconds * 1_000) {
      const row = next++ % rows
      await index.upsert([row], vectors.subarray(row * dimensions, (row + 1) * dimensions))
    }
  }
  await Promise.all(Array.from({ length: callers }, call))
  const rate = (1_000 * next) / (performance.now() - start)
  await index.close()
  return rate
}

/** Seconds to open a directory whose log has all rows. */
async function recover(): Promise<number> {
  const from = newPlace()
  const writer = await VectorIndex.open(from, { ...options, durability: 'buffered' })
  await addBatches(writer)
  // A reader does what recovery does, and leaves the directory as it is.
  const start = performance.now()
  const reader = await VectorIndex.open(from, { readOnly: true })
  const seconds = (performance.now() - start) / 1_000
  if (reader.size !== rows) throw new Error(`${reader.size} rows`)
  await reader.close()
  await writer.close()
  return seconds
}

/** 99 % of the searches, one every millisecond, that were sent until `over` took less; in milliseconds. */
async function slowest(index: VectorIndex, over: Promise<void>): Promise<number> {
  const state = { isOver: false }
  const end = over.finally(() => (state.isOver = true))
  const times: number[] = []
  for (let row = 0; !state.isOver; row = (row + 1) % rows) {
    await sleep(1)
    const start = performance.now()
    await index.search(vectors.subarray(row * dimensions, (row + 1) * dimensions), { k: 10 })
    times.push(performance.now() - start)
  }
  await end
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]!
}

/** The same while nothing else happens, during checkpoints and during compactions, of 100,000 rows in a graph. */
async function searchBeside(): Promise<Record<'idle' | 'checkpoint' | 'compaction', number>> {
  const index = await VectorIndex.open(newPlace(), { dimensions, migration: 'manual', durability: 'buffered' })
  const count = 100_000
  await index.add(ids.slice(0, count), vectors.subarray(0, count * dimensions))
  await index.migrate()
  const checkpoints = async (): Promise<void> => {
    for (let round = 0; round < 10; round++) {
      await index.upsert([0], vectors.subarray(0, dimensions))
      await index.checkpoint()
    }
  }
  const compactions = async (): Promise<void> => {
    for (let round = 0; round < 3; round++) {
      await index.remove(ids.slice(round * 10_000, (round + 1) * 10_000))
      await index.compact()
    }
  }
  const idle = await slowest(index, sleep(5_000))
  const checkpoint = await slowest(index, checkpoints())
  const compaction = await slowest(index, compactions())
  await index.close()
  return { idle, checkpoint, compaction }
}

const figures = { memory: [], buffered: [], fsync: [], append: [], one: [], many: [], recovery: [] } as Record<
  string,
  number[]
>

try {
  // In turns, so that what else the machine does falls on all alike.
  for (let round = 0; round < 5; round++) {
    figures.memory!.push(await addBatches(new VectorIndex(options)))
    for (const durability of ['buffered', 'fsync'] as const) {
      const index = await open(durability)
      figures[durability]!.push(await addBatches(index))
      await index.close()
    }
    figures.append!.push(appendBatches())
    figures.one!.push(await addSingly(1, 1))
    figures.many!.push(await addSingly(64, 1))
    figures.recovery!.push(await recover())
  }
  const beside = await searchBeside()
  const of = (name: string): number => median(figures[name]!)
  const table = {
    'add in memory, rows/s': of('memory').toFixed(0),
    'add buffered, rows/s': of('buffered').toFixed(0),
    'buffered over memory': (of('buffered') / of('memory')).toFixed(2),
    'add fsync, rows/s': of('fsync').toFixed(0),
    'append and fdatasync, rows/s': of('append').toFixed(0),
    'fsync over append': (of('fsync') / of('append')).toFixed(2),
    'single adds fsync, 1 caller, /s': of('one').toFixed(0),
    'single adds fsync, 64 callers, /s': of('many').toFixed(0),
    '64 callers over 1': (of('many') / of('one')).toFixed(1),
    'recovery of 200,000 × 128, s': of('recovery').toFixed(2),
    'search p99 idle, ms': beside.idle.toFixed(2),
    'during a checkpoint, over idle': (beside.checkpoint / beside.idle).toFixed(2),
    'during a compaction, over idle': (beside.compaction / beside.idle).toFixed(2),
  }
  console.table(table)
} finally {
  rmSync(place, { recursive: true, force: true })
}
