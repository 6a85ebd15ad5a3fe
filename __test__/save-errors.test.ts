import test, { type ExecutionContext } from 'ava'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { VectorIndex, VicinalError } from 'vicinal'
import { contents } from './helpers/contents.js'
import { random, range, vectors } from './helpers/data.js'
import { rejects } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'

const directory = await temporaryDirectory()
let files = 0

function newFile(): string {
  return path.join(directory, `${files++}.index`)
}

async function filled(): Promise<VectorIndex<string>> {
  const index = new VectorIndex({ dimensions: 5, idType: 'string', threshold: 50 })
  await index.add(range(400).map(String), vectors(400, 5))
  await index.migrate()
  await index.remove(['3', '5'])
  return index
}

async function saved(): Promise<{ index: VectorIndex<string>; bytes: Uint8Array }> {
  const index = await filled()
  const file = newFile()
  await index.save(file)
  return { index, bytes: new Uint8Array(await readFile(file)) }
}

async function load(bytes: Uint8Array): Promise<VectorIndex<string>> {
  const file = newFile()
  await writeFile(file, bytes)
  return VectorIndex.load<string>(file)
}

async function isRefused(t: ExecutionContext, bytes: Uint8Array, message: string): Promise<void> {
  const error = await t.throwsAsync(() => load(bytes), { instanceOf: VicinalError }, message)
  const { code } = error as VicinalError
  t.true(['ERR_CORRUPT', 'ERR_VERSION'].includes(code), `${message}: ${code}`)
}

test('a file that is not there', async (t) => {
  const file = path.join(directory, 'missing')
  const error = await rejects(t, () => VectorIndex.load(file), 'ERR_IO', /missing/)
  t.true(error.cause instanceof Error)
  t.regex((error.cause as Error).message, /No such file|ENOENT|cannot find/i)
})

test('a directory is no file', async (t) => {
  const place = path.join(directory, 'directory')
  await mkdir(place)
  await rejects(t, () => VectorIndex.load(place), 'ERR_IO', /directory/)
  const index = await filled()
  await rejects(t, () => index.save(place), 'ERR_IO', /directory/)
  t.deepEqual(await readdir(place), [])
})

test('a directory that is not there, or is a file', async (t) => {
  const index = await filled()
  const before = await contents(index)
  const file = newFile()
  await writeFile(file, 'a file')
  for (const place of [path.join(directory, 'nowhere', 'index'), path.join(file, 'index')]) {
    const error = await rejects(t, () => index.save(place), 'ERR_IO', /index/)
    t.true(error.cause instanceof Error)
  }
  t.deepEqual(await contents(index), before)
  await index.add(['new'], vectors(1, 5))
  t.is(await readFile(file, 'utf8'), 'a file')
})

test('paths that are none', async (t) => {
  const index = await filled()
  for (const file of ['', 'a\0b', null, undefined, 5, pathToFileURL(newFile()), Buffer.from('x')] as never[]) {
    await rejects(t, () => index.save(file), 'ERR_INVALID_ARGUMENT', /path.*got .*expected /)
    await rejects(t, () => VectorIndex.load(file), 'ERR_INVALID_ARGUMENT', /path.*got .*expected /)
  }
})

test('what load is told is checked', async (t) => {
  const index = await filled()
  const file = newFile()
  await index.save(file)
  for (const idType of ['number', 'bigint'] as const) {
    const message = new RegExp(`idType.*got .*string.*expected .*${idType}|idType.*got .*${idType}.*expected .*string`)
    await rejects(t, () => VectorIndex.load(file, { idType }), 'ERR_INVALID_ARGUMENT', message)
  }
  t.is((await VectorIndex.load(file, { idType: 'string' })).size, 398)
  for (const options of [{ idType: 'text' }, { threads: 0 }, { threads: 1_025 }, { ef: 5 }, null, 'x'] as never[]) {
    await rejects(t, () => VectorIndex.load(file, options), 'ERR_INVALID_ARGUMENT')
  }
})

test('files of other kinds', async (t) => {
  const others: Record<string, Uint8Array> = {
    'an empty file': new Uint8Array(0),
    'one byte': Uint8Array.of(1),
    text: new TextEncoder().encode('{"not": "an index"}'.repeat(1_000)),
    zeros: new Uint8Array(100_000),
    ones: new Uint8Array(100_000).fill(255),
    noise: Uint8Array.from(
      { length: 50_000 },
      (
        (next) => () =>
          next() * 256
      )(random(5)),
    ),
  }
  for (const [name, bytes] of Object.entries(others)) {
    const error = await t.throwsAsync(() => load(bytes), { instanceOf: VicinalError, code: 'ERR_CORRUPT' }, name)
    t.regex(error!.message, /got .*expected /s)
  }
})

test('a newer format is refused as such', async (t) => {
  const { bytes } = await saved()
  // docs/file-format.md: the major version stands at byte 8.
  bytes[9]! += 1
  const file = newFile()
  await writeFile(file, bytes)
  await rejects(t, () => VectorIndex.load(file), 'ERR_VERSION', /got .*expected /)
})

test('a file that ends early is refused, wherever it ends', async (t) => {
  const { bytes } = await saved()
  const next = random(1)
  const lengths = [
    1,
    8,
    4_095,
    4_096,
    4_097,
    bytes.length - 1,
    ...range(40).map(() => Math.floor(next() * bytes.length)),
  ]
  for (const length of lengths) await isRefused(t, bytes.subarray(0, length), `${length} of ${bytes.length} bytes`)
})

test('a file that goes on is refused', async (t) => {
  const { bytes } = await saved()
  const longer = new Uint8Array(bytes.length + 1)
  longer.set(bytes)
  await isRefused(t, longer, 'one byte more')
})

test('a flipped bit is refused, or was of no use', async (t) => {
  const { index, bytes } = await saved()
  const expected = await contents(index)
  const next = random(2)
  let refused = 0
  const bits = [
    ...range(200).map((i) => i * 8 + (i % 8)),
    ...range(200).map(() => Math.floor(next() * bytes.length * 8)),
  ]
  for (const bit of bits) {
    const flipped = bytes.slice()
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    try {
      const loaded = await load(flipped)
      t.deepEqual(await contents(loaded), expected, `bit ${bit}`)
    } catch (error) {
      t.true(error instanceof VicinalError, String(error))
      t.true(['ERR_CORRUPT', 'ERR_VERSION'].includes((error as VicinalError).code), `bit ${bit}: ${String(error)}`)
      refused++
    }
  }
  t.true(refused >= 200, `${refused} of ${bits.length}`)
})

test('a failed save leaves the file that was there', async (t) => {
  const { index } = await saved()
  const place = await temporaryDirectory()
  const file = path.join(place, 'index')
  await index.save(file)
  const before = await readFile(file)
  await index.close()
  await rejects(t, () => index.save(file), 'ERR_CLOSED')
  t.true((await readFile(file)).equals(before))
  t.deepEqual(await readdir(place), ['index'])
})
