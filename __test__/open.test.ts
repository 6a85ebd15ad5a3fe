import test from 'ava'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { VectorIndex, type Id } from 'vicinal'
import { runFixture } from './helpers/children.js'
import { contents } from './helpers/contents.js'
import { range, rowOf, vectors } from './helpers/data.js'
import { rejects, throws } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'

const directory = await temporaryDirectory()
let places = 0

function newPlace(): string {
  return path.join(directory, `${places++}`)
}

/** All but how far the migration is, which a reader does for itself. */
async function held(index: VectorIndex<Id>): Promise<object> {
  return { ...(await contents(index)), migration: undefined }
}

for (const durability of ['fsync', 'buffered'] as const) {
  for (const idType of ['number', 'bigint', 'string'] as const) {
    test(`what was written is there again: ${durability}, ${idType}`, async (t) => {
      const place = newPlace()
      const id = (n: number): Id => (idType === 'number' ? n : idType === 'bigint' ? BigInt(n) : `ä${n}`)
      const ids = (from: number, count: number): Id[] => range(count, from).map(id)
      const rows = vectors(700, 5)
      const options = { dimensions: 5, idType, threshold: 300, durability }
      const index = await VectorIndex.open<Id>(place, options)
      await index.add(ids(0, 400) as never, rows.subarray(0, 2_000))
      index.addSync(ids(400, 200) as never, rows.subarray(2_000, 3_000))
      await index.checkpoint()
      t.is(await index.remove(ids(10, 5) as never), 5)
      await index.upsert(ids(12, 4) as never, rows.subarray(3_000, 3_020))
      await index.add(ids(800, 1) as never, rowOf(rows, 699, 5))
      await index.migrate()
      await index.flush()
      const expected = await held(index)
      // A reader sees it while the index is open: nothing waits in memory.
      const reader = await VectorIndex.open<Id>(place, { readOnly: true })
      t.deepEqual(await held(reader), expected)
      await reader.close()
      await index.close()
      const again = await VectorIndex.open<Id>(place)
      t.deepEqual(await held(again), expected)
      t.deepEqual([again.size, again.dimensions, again.idType, again.metric], [index.size, 5, idType, 'l2'])
      t.is(again.migration.state, 'graph')
      t.is((await again.verify()).unreachable, 0)
      await again.clear()
      await again.close()
      await using last = await VectorIndex.open<Id>(place, options)
      t.is(last.size, 0)
    })
  }
}

for (const dtype of ['f16', 'i8', 'u8'] as const) {
  test(`rows are logged as they are kept: ${dtype}`, async (t) => {
    const place = newPlace()
    const index = await VectorIndex.open(place, { dimensions: 7, dtype, threshold: 50 })
    const rows = Int8Array.from({ length: 700 }, (_, i) => (i * 37) % 101)
    await index.add(range(100), rows)
    const again = await VectorIndex.open(place, { readOnly: true, dtype })
    t.deepEqual(await held(again), await held(index))
    await again.close()
    await index.close()
    await using last = await VectorIndex.open(place)
    t.is(last.dtype, dtype)
    t.deepEqual(last.get(5), Float32Array.from(rows.subarray(35, 42)))
  })
}

test('calls that are not awaited are done in their order, and before close', async (t) => {
  const place = newPlace()
  const index = await VectorIndex.open(place, { dimensions: 3 })
  const rows = vectors(200, 3)
  const adds = range(200).map((id) => index.add([id], rowOf(rows, id, 3)))
  const removed = index.remove(range(50))
  const flushed = index.flush()
  const checkpointed = index.checkpoint()
  const more = index.add([500], [[1, 2, 3]])
  await index.close()
  await Promise.all([...adds, flushed, checkpointed, more])
  t.is(await removed, 50)
  await rejects(t, () => index.flush(), 'ERR_CLOSED')
  await rejects(t, () => index.checkpoint(), 'ERR_CLOSED')
  await using again = await VectorIndex.open(place)
  t.deepEqual([...again.keys()], [...range(150, 50), 500])
})

test('one index at a time has a directory open to write', async (t) => {
  const place = newPlace()
  const index = await VectorIndex.open(place, { dimensions: 2 })
  const holder = new RegExp(`process ${process.pid}`)
  await rejects(t, () => VectorIndex.open(place), 'ERR_LOCKED', holder)
  const { stdout } = await runFixture('open.mjs', [place])
  t.deepEqual(JSON.parse(stdout), { code: 'ERR_LOCKED', names: true, readers: 0 })
  await index.add([1], [[1, 1]])
  const other = await runFixture('open.mjs', [place])
  t.is(JSON.parse(other.stdout).readers, 1, 'a reader in another process sees what was acknowledged')
  await index.close()
  const { stdout: free } = await runFixture('open.mjs', [place])
  t.deepEqual(JSON.parse(free), { code: 'none', names: false, readers: 1 })
})

test('a reader changes nothing and writes nothing', async (t) => {
  const missing = newPlace()
  await rejects(t, () => VectorIndex.open(missing, { readOnly: true, dimensions: 2 }), 'ERR_IO', /No such file/i)
  t.false((await readdir(directory)).includes(path.basename(missing)))
  const empty = newPlace()
  await mkdir(empty)
  await rejects(t, () => VectorIndex.open(empty, { readOnly: true, dimensions: 2 }), 'ERR_IO', /no index/)
  t.deepEqual(await readdir(empty), [])

  const place = newPlace()
  await (await VectorIndex.open(place, { dimensions: 2 })).close()
  await chmod(place, 0o555)
  const before = await readdir(place)
  const reader = await VectorIndex.open(place, { readOnly: true })
  const add = (): Promise<void> => reader.add([1], [[1, 1]])
  await rejects(t, add, 'ERR_READ_ONLY')
  await rejects(t, () => reader.upsert([1], [[1, 1]]), 'ERR_READ_ONLY')
  await rejects(t, () => reader.remove(1), 'ERR_READ_ONLY')
  await rejects(t, () => reader.clear(), 'ERR_READ_ONLY')
  await rejects(t, () => reader.flush(), 'ERR_READ_ONLY')
  await rejects(t, () => reader.checkpoint(), 'ERR_READ_ONLY')
  throws(t, () => reader.addSync([1], [[1, 1]]), 'ERR_READ_ONLY')
  await reader.save(path.join(directory, 'copy'))
  await reader.close()
  t.deepEqual(await readdir(place), before)
  await chmod(place, 0o755)
})

test('options are stored, and others refused', async (t) => {
  const place = newPlace()
  await rejects(t, () => VectorIndex.open(place), 'ERR_INVALID_ARGUMENT', /^dimensions: got .*, expected /)
  t.false((await readdir(directory)).includes(path.basename(place)), 'nothing was made')
  const options = { dimensions: 4, metric: 'cosine', m: 8, threshold: Infinity, seed: 5, migration: 'manual' } as const
  await (await VectorIndex.open(place, options)).close()
  await (await VectorIndex.open(place, { ...options, threads: 1, capacity: 100, durability: 'buffered' })).close()
  for (const [name, value] of Object.entries({
    dimensions: 5,
    metric: 'ip',
    idType: 'string',
    m: 9,
    efConstruction: 10,
    ef: 10,
    threshold: 0,
    chunkSize: 10,
    migration: 'auto',
    seed: 6,
  })) {
    const message = new RegExp(`^${name}: got ${value}, expected .* as it is stored$`)
    await rejects(t, () => VectorIndex.open(place, { [name]: value }), 'ERR_INVALID_ARGUMENT', message)
  }
  for (const wrong of [{ durability: 'none' }, { readOnly: 1 }, { signal: undefined }, { path: '' }]) {
    await rejects(t, () => VectorIndex.open(place, wrong as never), 'ERR_INVALID_ARGUMENT')
  }
  for (const wrong of ['', 'a\0b', 5, undefined]) {
    await rejects(t, () => VectorIndex.open(wrong as never), 'ERR_INVALID_ARGUMENT', /^directory: got/)
  }
  await using index = await VectorIndex.open(place)
  t.deepEqual([index.dimensions, index.metric], [4, 'cosine'])
})

test('directories may have any name, and be made with those above', async (t) => {
  const place = path.join(newPlace(), 'with spaces', 'ünïcode ✓ 目录', "quote's")
  const index = await VectorIndex.open(place, { dimensions: 2 })
  await index.add([1], [[1, 2]])
  await index.close()
  await using again = await VectorIndex.open(`${place}/`)
  t.deepEqual(again.get(1), Float32Array.of(1, 2))
})

test('a call that is refused makes nothing, also in a directory that is there', async (t) => {
  const place = newPlace()
  await rejects(
    t,
    () => VectorIndex.open(place),
    'ERR_INVALID_ARGUMENT',
    /^dimensions: got none, expected a whole number/,
  )
  t.false(existsSync(place))
  await mkdir(place)
  await writeFile(path.join(place, 'mine'), 'no index')
  await rejects(t, () => VectorIndex.open(place), 'ERR_INVALID_ARGUMENT', /^dimensions: /)
  t.deepEqual(await readdir(place), ['mine'])
})

test('a file in place of the directory, or one that cannot be made, is ERR_IO', async (t) => {
  const file = newPlace()
  await writeFile(file, 'no directory')
  await rejects(t, () => VectorIndex.open(file, { dimensions: 2 }), 'ERR_IO', /failed: /)
  await rejects(t, () => VectorIndex.open(path.join(file, 'x'), { dimensions: 2 }), 'ERR_IO', /failed: /)
  t.is(await readFile(file, 'utf8'), 'no directory')
})

test('a damaged log or snapshot is refused and kept', async (t) => {
  const place = newPlace()
  const index = await VectorIndex.open(place, { dimensions: 2 })
  for (const id of range(5)) await index.add([id], [[id, 1]])
  const copies = await Promise.all(
    (await readdir(place)).map(async (name) => ({ name, bytes: await readFile(path.join(place, name)) })),
  )
  await index.close()
  for (const { name } of copies.filter((copy) => copy.name !== 'lock')) {
    const damaged = newPlace()
    await mkdir(damaged)
    for (const copy of copies) await writeFile(path.join(damaged, copy.name), copy.bytes)
    const file = path.join(damaged, name)
    const bytes = await readFile(file)
    bytes[100]! ^= 0xff
    await writeFile(file, bytes)
    await rejects(t, () => VectorIndex.open(damaged), 'ERR_CORRUPT')
    await rejects(t, () => VectorIndex.open(damaged, { readOnly: true }), 'ERR_CORRUPT')
    t.deepEqual(await readFile(file), bytes)
  }
})

test('only an opened index is flushed and checkpointed', async (t) => {
  const index = new VectorIndex({ dimensions: 2 })
  await rejects(t, () => index.flush(), 'ERR_INVALID_ARGUMENT')
  await rejects(t, () => index.checkpoint(), 'ERR_INVALID_ARGUMENT')
})

test('a checkpoint may be watched and aborted', async (t) => {
  const place = newPlace()
  const index = await VectorIndex.open(place, { dimensions: 64, durability: 'buffered' })
  await index.add(range(20_000), vectors(20_000, 64))
  const phases = new Set<string>()
  await index.checkpoint({ onProgress: ({ phase }) => phases.add(phase) })
  t.true(phases.has('write'))
  await index.add([50_000], vectors(1, 64))
  const reason = new Error('enough')
  const aborted = index.checkpoint({ signal: AbortSignal.abort(reason) })
  t.is(await t.throwsAsync(aborted), reason)
  await index.close()
  await using again = await VectorIndex.open(place)
  t.is(again.size, 20_001)
})
