import test, { type ExecutionContext } from 'ava'
import { copyFile, cp, mkdir, readdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { VectorIndex } from 'vicinal'
import { runFixture, type Ended } from './helpers/children.js'
import { range, vectors } from './helpers/data.js'
import { temporaryDirectory } from './helpers/files.js'

const directory = await temporaryDirectory()
let places = 0

function newPlace(name = 'with spaces, ü'): string {
  return path.join(directory, `${places++} ${name}`)
}

const vicinal = (...args: string[]): Promise<Ended> => runFixture('../../dist/cli.js', args)

/** 1,500 rows in two blocks and more, 30 of them removed, all in the graph. */
async function savedFile(): Promise<string> {
  const index = new VectorIndex({ dimensions: 40, metric: 'cosine', idType: 'string', threshold: 100, m: 4 })
  await index.add(range(1_500).map(String), vectors(1_500, 40))
  await index.remove(range(30).map(String))
  await index.migrate()
  const file = newPlace()
  await index.save(file)
  await index.close()
  return file
}

/** A snapshot of 500 rows, and a log of ten more, one by one, as a process leaves it that was killed. */
async function openedDirectory(): Promise<string> {
  const place = newPlace()
  const index = await VectorIndex.open(place, { dimensions: 40, threshold: 100 })
  await index.add(range(500), vectors(500, 40))
  await index.checkpoint()
  for (const id of range(10, 500)) await index.add([id], vectors(1, 40, id))
  const copy = newPlace()
  await cp(place, copy, { recursive: true })
  await index.close()
  return copy
}

interface Section {
  id: number
  offset: number
  length: number
}

/** docs/file-format.md: the section table stands at byte 152. */
function sectionsOf(bytes: Buffer): Section[] {
  return range(bytes.readUInt32LE(144)).map((number) => {
    const entry = 152 + number * 32
    const at = (field: number): number => Number(bytes.readBigUInt64LE(entry + field))
    return { id: bytes.readUInt32LE(entry), offset: at(8), length: at(16) }
  })
}

async function filesOf(place: string): Promise<[string, string][]> {
  const names = (await readdir(place)).sort()
  return Promise.all(
    names.map(async (name) => [name, await readFile(path.join(place, name), 'base64')] as const),
  ) as never
}

/** Checks an exit code, and that only failures have something on standard error. */
function ended(t: ExecutionContext, { code, stdout, stderr }: Ended, expected: number, text: RegExp): void {
  t.is(code, expected, stdout + stderr)
  t.regex(expected < 2 ? stdout : stderr, text)
  t.is(expected < 2 ? stderr : stdout, '')
}

test('a sound file', async (t) => {
  const file = await savedFile()
  const before = await readFile(file)
  const { code, stdout } = await vicinal('info', file)
  t.is(code, 0)
  for (const line of [/kind +a file/, /rows +1,470, and 30 removed/, /dimensions +40/, /metric +cosine/, /ids +string/])
    t.regex(stdout, line)
  t.regex(stdout, /graph +of 1,500 rows, removed ones included; m 4/)
  t.regex(stdout, new RegExp(`vectors +[0-9,]+, ${(1_500 * 48 * 4).toLocaleString('en-US')}`))
  ended(t, await vicinal('verify', file), 0, /^sound: 1,470 rows\n$/)
  const output = newPlace()
  ended(t, await vicinal('recover', file, '-o', output), 0, /: 1,470 rows\n$/)
  const index = await VectorIndex.load<string>(file)
  await using again = await VectorIndex.load<string>(output)
  t.deepEqual([...again.keys()], [...index.keys()])
  t.deepEqual(await again.getMany([...index.keys()]), await index.getMany([...index.keys()]))
  t.deepEqual([again.metric, again.migration.state, again.stats().removed], ['cosine', 'graph', 0])
  t.true((await readFile(file)).equals(before))
})

test('a flipped byte in any section is found, and the rest is recovered', async (t) => {
  const file = await savedFile()
  const sound = await readFile(file)
  const index = await VectorIndex.load<string>(file)
  const damaged = newPlace()
  const sections = sectionsOf(sound).filter(({ length }) => length > 0)
  t.true(sections.length >= 12)
  for (const { id, offset, length } of [{ id: 0, offset: 0, length: 200 }, ...sections]) {
    const bytes = Buffer.from(sound)
    // In the header the seed, which nothing else depends on.
    bytes[id === 0 ? 97 : offset + (length >> 1)]! ^= 0x40
    await writeFile(damaged, bytes)
    ended(t, await vicinal('verify', damaged), 1, id === 0 ? /header of checksum/ : new RegExp(`section ${id} `))
    const output = newPlace()
    const { code, stdout } = await vicinal('recover', damaged, '--output', output)
    t.true((await readFile(damaged)).equals(bytes), 'left as it was')
    // 1 removed, 2 ids, 3 texts, 14 vectors: all else is made anew.
    t.is(code, [0, 1, 2, 3, 14].includes(id) ? 1 : 0, stdout)
    ended(t, await vicinal('verify', output), 0, /^sound/)
    const again = await VectorIndex.load<string>(output)
    const keys = [...again.keys()].filter((key) => id !== 1 || index.has(key))
    t.deepEqual(await again.getMany(keys), await index.getMany(keys), `section ${id}`)
    if (code === 0 || id <= 1) t.is(keys.length, 1_470, `section ${id}`)
    if (id === 14) t.true(keys.length > 1_000 && keys.length < 1_470, `${keys.length} rows of the other blocks`)
  }
})

test('a file that is cut off', async (t) => {
  const file = await savedFile()
  const { size } = await VectorIndex.load<string>(file)
  const bytes = await readFile(file)
  const { offset, length } = sectionsOf(bytes).find(({ id }) => id === 14)!
  await truncate(file, offset + (length >> 1))
  ended(t, await vicinal('verify', file), 1, /not sound/)
  ended(t, await vicinal('info', file), 3, /ERR_CORRUPT/)
  const output = newPlace()
  ended(
    t,
    await vicinal('recover', file, '-o', output),
    1,
    /lost: .* rows that cannot be read\n(.*\n)*lost: .*unchecked/,
  )
  await using again = await VectorIndex.load<string>(output)
  t.true(again.size > size / 3 && again.size < size, `${again.size}`)
  await truncate(file, 1_000)
  ended(t, await vicinal('verify', file), 1, /not sound/)
  ended(t, await vicinal('recover', file, '-o', newPlace()), 3, /ERR_CORRUPT/)
})

test('what is no index, or a newer one', async (t) => {
  const text = newPlace()
  await writeFile(text, 'no index, '.repeat(1_000))
  ended(t, await vicinal('verify', text), 1, /another kind of file/)
  ended(t, await vicinal('info', text), 3, /ERR_CORRUPT/)
  const output = newPlace()
  ended(t, await vicinal('recover', text, '-o', output), 3, /ERR_CORRUPT/)
  const file = await savedFile()
  const bytes = await readFile(file)
  bytes[8]! += 7
  await writeFile(file, bytes)
  for (const args of [
    ['verify', file],
    ['info', file],
    ['recover', file, '-o', output],
  ])
    ended(t, await vicinal(...args), 3, /ERR_VERSION/)
  for (const args of [
    ['verify', newPlace()],
    ['info', newPlace()],
    ['recover', newPlace(), '-o', output],
  ])
    ended(t, await vicinal(...args), 3, /ERR_IO: .*No such file/i)
  const empty = newPlace()
  await mkdir(empty)
  for (const args of [
    ['verify', empty],
    ['info', empty],
    ['recover', empty, '-o', output],
  ])
    ended(t, await vicinal(...args), 3, /ERR_IO: .*no index in the directory/)
  t.false((await readdir(directory)).includes(path.basename(output)), 'nothing was written')
})

test('a directory, sound, with a torn log, with a damaged one', async (t) => {
  const place = await openedDirectory()
  const before = await filesOf(place)
  const { code, stdout } = await vicinal('info', place)
  t.is(code, 0)
  t.regex(stdout, /kind +a directory[^]*rows +500, and 0 removed[^]*log-0000000000000002.vicinal +[0-9,]+\n/)
  ended(t, await vicinal('verify', place), 0, /note: 10 writes in the log after the snapshot\nsound: 510 rows/)
  let output = newPlace()
  ended(t, await vicinal('recover', place, '-o', output), 0, /510 rows/)
  t.deepEqual(await filesOf(place), before)

  const log = path.join(place, 'log-0000000000000002.vicinal')
  const { length } = await readFile(log)
  await truncate(log, length - 5)
  ended(t, await vicinal('verify', place), 0, /bytes of a torn write[^]*sound: 509 rows/)
  output = newPlace()
  ended(t, await vicinal('recover', place, '-o', output), 0, /509 rows/)

  const bytes = await readFile(log)
  bytes[length >> 1]! ^= 1
  await writeFile(log, bytes)
  ended(t, await vicinal('verify', place), 1, /problem: .*a damaged write [^]*not sound: 1 problems/)
  output = newPlace()
  ended(t, await vicinal('recover', place, '-o', output), 1, /lost: .*writes \d+ … \d+[^]*: 50\d rows/)
  await using again = await VectorIndex.open(output, { dimensions: 40 })
  t.true(again.size > 500 && again.size < 509, 'the writes before the damage')
  t.deepEqual(again.get(500), vectors(1, 40, 500))
  await again.add([9_000], vectors(1, 40))
})

test('nothing is written over, nor into what is recovered', async (t) => {
  const file = await savedFile()
  const other = newPlace()
  await writeFile(other, 'mine')
  const link = newPlace()
  await symlink(newPlace(), link)
  for (const output of [file, other, link, directory])
    ended(
      t,
      await vicinal('recover', file, '-o', output),
      3,
      /ERR_INVALID_ARGUMENT: output: got .*expected a path where/,
    )
  t.is(await readFile(other, 'utf8'), 'mine')
  const place = await openedDirectory()
  const before = await filesOf(place)
  ended(t, await vicinal('recover', place, '-o', path.join(place, 'new')), 3, /output: got .*expected a path outside/)
  t.deepEqual(await filesOf(place), before)
  ended(t, await vicinal('recover', file, '-o', path.join(newPlace(), 'nowhere')), 3, /ERR_IO/)
})

test('a directory is looked at while it is open', async (t) => {
  const place = newPlace()
  await using index = await VectorIndex.open(place, { dimensions: 3 })
  await index.add([1, 2], vectors(2, 3))
  ended(t, await vicinal('verify', place), 0, /sound: 2 rows/)
  ended(t, await vicinal('info', place), 0, /log-/)
  await index.add([3], vectors(1, 3))
})

test('usage', async (t) => {
  for (const args of [['--help'], ['-h'], ['verify', '--help']]) ended(t, await vicinal(...args), 0, /Exit codes/)
  const file = newPlace()
  await copyFile(await savedFile(), file)
  for (const args of [
    [],
    ['destroy', file],
    ['toString', file],
    ['verify'],
    ['verify', ''],
    ['verify', file, file],
    ['verify', file, '-o', 'x'],
    ['recover', file],
    ['recover', file, '-o', ''],
    ['info', file, '--colour'],
  ])
    ended(t, await vicinal(...args), 2, /^vicinal: .*\n\nvicinal looks at/)
})
