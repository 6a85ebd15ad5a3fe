import test, { type ExecutionContext } from 'ava'
import { open, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { VectorIndex, VicinalError } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range, until, vectors } from './helpers/data.js'
import { rejects } from './helpers/failures.js'
import { mounted } from './helpers/mounts.js'

const DIMENSIONS = 64
const full = /No space left/i

/** Runs a test on a small file system of its own; where there can be none it says why and passes. */
function onSmallDisk(name: string, run: (t: ExecutionContext, disk: SmallDisk) => Promise<void>, mebibytes = 6): void {
  test(name, async (t) => {
    const mount = await mounted(mebibytes * 1_024)
    if (typeof mount === 'string') {
      t.log(`skipped: ${mount}`)
      t.pass()
      return
    }
    await run(t, new SmallDisk(mount.place))
  })
}

class SmallDisk {
  readonly #filler: string
  constructor(readonly place: string) {
    this.#filler = path.join(place, 'filler')
  }

  /** Leaves no room but for so many KiB. */
  async fill(left: number): Promise<void> {
    const file = await open(this.#filler, 'a')
    const page = Buffer.alloc(4_096)
    try {
      for (;;) await file.write(page)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
    }
    const { size } = await file.stat()
    await file.truncate(Math.max(0, Math.floor(size / 4_096) * 4_096 - left * 1_024))
    await file.close()
  }

  async free(): Promise<void> {
    await rm(this.#filler)
  }
}

function rows(count: number, first = 0): [number[], Float32Array] {
  return [range(count, first), vectors(count, DIMENSIONS, first + 1)]
}

/** All but how far the migration is, which an opened index goes on with. */
async function held(index: VectorIndex): Promise<object> {
  return { ...(await contents(index)), migration: undefined }
}

async function reopened(t: ExecutionContext, place: string, expected: object): Promise<VectorIndex> {
  const again = await VectorIndex.open(place)
  t.deepEqual(await held(again), expected)
  t.is((await again.verify({ samples: 20 })).unreachable, 0)
  return again
}

onSmallDisk('save on a full disk leaves the old file and nothing else', async (t, disk) => {
  const file = path.join(disk.place, 'index')
  const index = new VectorIndex({ dimensions: DIMENSIONS, threshold: 500 })
  await index.add(...rows(1_000))
  await index.save(file)
  const old = await readFile(file)
  await index.add(...rows(2_000, 1_000))
  const before = await held(index)
  for (const left of [0, 8, 300]) {
    await disk.fill(left)
    const error = await rejects(t, () => index.save(file), 'ERR_IO', full)
    t.regex((error.cause as Error).message, full)
    t.true((await readFile(file)).equals(old))
    t.deepEqual((await readdir(disk.place)).sort(), ['filler', 'index'])
    t.deepEqual(await held(index), before)
    await disk.free()
  }
  await index.save(file)
  t.is((await VectorIndex.load(file)).size, 3_000)
})

onSmallDisk('an index that cannot be made is made when there is room', async (t, disk) => {
  const place = path.join(disk.place, 'index')
  for (const left of [0, 4, 8]) {
    await disk.fill(left)
    await rejects(t, () => VectorIndex.open(place, { dimensions: DIMENSIONS }), 'ERR_IO', full)
    await disk.free()
  }
  const index = await VectorIndex.open(place, { dimensions: DIMENSIONS })
  await index.add(...rows(10))
  await index.close()
  await (await reopened(t, place, await held(await VectorIndex.open(place, { readOnly: true })))).close()
})

onSmallDisk('opening what cannot be written is ERR_IO, reading it works, and all is there again', async (t, disk) => {
  const place = path.join(disk.place, 'index')
  const index = await VectorIndex.open(place, { dimensions: DIMENSIONS })
  await index.add(...rows(500))
  const expected = await held(index)
  await index.close()
  await disk.fill(0)
  // The next segment of the log cannot be begun.
  await rejects(t, () => VectorIndex.open(place), 'ERR_IO', full)
  await using reader = await VectorIndex.open(place, { readOnly: true })
  t.deepEqual(await held(reader), expected)
  await disk.free()
  await (await reopened(t, place, expected)).close()
})

for (const durability of ['fsync', 'buffered'] as const) {
  onSmallDisk(`writes on a full disk are refused and the others kept: ${durability}`, async (t, disk) => {
    const place = path.join(disk.place, 'index')
    const index = await VectorIndex.open(place, { dimensions: DIMENSIONS, threshold: 500, durability })
    await index.add(...rows(1_000))
    await index.remove(range(100))
    await disk.fill(100)
    // Some are done, and then one is refused.
    let next = 1_000
    const addition = (): Promise<void> => index.add(...rows(100, next))
    let refused: unknown
    let expected = await held(index)
    for (; refused === undefined; next += 100) {
      try {
        await addition()
        expected = await held(index)
      } catch (error) {
        refused = error
      }
    }
    t.true(refused instanceof VicinalError && refused.code === 'ERR_IO' && full.test(refused.message), String(refused))
    t.is(next, 1_400, 'three batches of some 26 KiB find room')
    const mixed = [
      (): Promise<unknown> => index.upsert(...rows(200, 500)),
      (): Promise<unknown> => index.add(...rows(300, 9_000)),
      async (): Promise<unknown> => index.addSync(...rows(300, 9_000)),
    ]
    for (const write of mixed) {
      await rejects(t, write, 'ERR_IO', full)
      t.deepEqual(await held(index), expected)
    }
    // What is there now is what a crash would leave, and a reader sees.
    t.deepEqual(await held(await VectorIndex.open(place, { readOnly: true })), expected)
    await disk.free()
    // A refused write is no reason to refuse the next.
    await addition()
    await index.remove(range(10, 200))
    expected = await held(index)
    t.deepEqual(await held(await VectorIndex.open(place, { readOnly: true })), expected, 'nothing of it is in the way')
    await index.close()
    await (await reopened(t, place, expected)).close()
  })
}

onSmallDisk('a checkpoint on a full disk fails and loses nothing, and writes and searches go on', async (t, disk) => {
  const place = path.join(disk.place, 'index')
  const index = await VectorIndex.open(place, { dimensions: DIMENSIONS, threshold: 500 })
  await index.add(...rows(1_000))
  await index.migrate()
  await index.checkpoint()
  await index.add(...rows(1_000, 1_000))
  for (const left of [0, 40, 200]) {
    await disk.fill(left)
    await rejects(t, () => index.checkpoint(), 'ERR_IO', full)
    t.deepEqual(
      (await readdir(place)).filter((name) => name.endsWith('.tmp')),
      [],
    )
    t.deepEqual(await held(await VectorIndex.open(place, { readOnly: true })), await held(index))
    await disk.free()
    await index.add(...rows(10, 5_000 + left * 10))
  }
  await index.checkpoint()
  t.is((await readdir(place)).length, 3, 'a lock, a snapshot, a segment')
  const expected = await held(index)
  await index.close()
  await (await reopened(t, place, expected)).close()
})

onSmallDisk('a compaction needs no room on the disk, and closing without any loses nothing', async (t, disk) => {
  const place = path.join(disk.place, 'index')
  const index = await VectorIndex.open(place, { dimensions: DIMENSIONS, threshold: 500 })
  await index.add(...rows(3_000))
  await index.remove(range(300))
  await disk.fill(0)
  await index.compact()
  t.is(index.stats().removed, 0)
  const expected = await held(index)
  await rejects(t, () => index.checkpoint(), 'ERR_IO', full)
  // Its checkpoint fails. It is closed all the same, and the lock is free.
  await rejects(t, () => index.close(), 'ERR_IO', full)
  await rejects(t, () => index.search(new Float32Array(DIMENSIONS)), 'ERR_CLOSED')
  await disk.free()
  await (await reopened(t, place, expected)).close()
})

onSmallDisk(
  'a checkpoint that is made by itself and fails stands in stats(), until one is made',
  async (t, disk) => {
    const place = path.join(disk.place, 'index')
    const dimensions = 1_024
    const index = await VectorIndex.open(place, { dimensions, threshold: Infinity, durability: 'buffered' })
    // 64 MiB of log make one due, and there is no room for a snapshot beside them.
    for (let first = 0; first < 17_000; first += 1_000)
      await index.add(range(1_000, first), vectors(1_000, dimensions, first))
    await until(() => index.stats().checkpointError !== undefined)
    const { checkpointError } = index.stats()
    t.true(checkpointError instanceof VicinalError)
    t.is(checkpointError?.code, 'ERR_IO')
    t.regex(checkpointError?.message ?? '', full)
    t.is(index.size, 17_000)
    await index.remove(range(16_500))
    await index.compact()
    t.not(index.stats().checkpointError, undefined)
    await index.checkpoint()
    t.false('checkpointError' in index.stats())
    await index.close()
  },
  100,
)
