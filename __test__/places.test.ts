import test, { type ExecutionContext } from 'ava'
import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { VectorIndex } from 'vicinal'
import { fixture, runFixture } from './helpers/children.js'
import { contents } from './helpers/contents.js'
import { range, sleep, vectors } from './helpers/data.js'
import { rejects } from './helpers/failures.js'
import { temporaryDirectory } from './helpers/files.js'
import { mounted } from './helpers/mounts.js'

const directory = await temporaryDirectory()

/** Somebody who owns nothing. */
const NOBODY = 65_534

async function closedIndex(place: string): Promise<void> {
  const index = await VectorIndex.open(place, { dimensions: 2 })
  await index.add([1, 2, 3], vectors(3, 2))
  await index.close()
}

function skip(t: ExecutionContext, why: string): void {
  t.log(`skipped: ${why}`)
  t.pass()
}

test('who may not read or write gets ERR_IO, and nothing is changed', async (t) => {
  const isRoot = process.getuid?.() === 0
  if (process.getuid === undefined) return skip(t, 'this system has no users')
  await chmod(directory, 0o755)
  const [closed, directoryToRead, elsewhere] = ['closed', 'to read', 'elsewhere'].map((name) =>
    path.join(directory, name),
  )
  await closedIndex(closed!)
  await closedIndex(directoryToRead!)
  await mkdir(elsewhere!)
  const unreadable = path.join(elsewhere!, 'unreadable')
  await (await VectorIndex.load(await savedTo(unreadable))).close()
  await chmod(unreadable, 0o000)
  for (const place of [directoryToRead!, elsewhere!]) await chmod(place, 0o555)
  for (const name of await readdir(directoryToRead!)) await chmod(path.join(directoryToRead!, name), 0o444)
  await chmod(closed!, 0o000)
  const before = await Promise.all([directoryToRead!, elsewhere!].map(listing))
  const args = [closed!, unreadable, directoryToRead!, elsewhere!]
  // Root may do everything, so a child does it as somebody else.
  const { code, stdout, stderr } = await runFixture('permissions.mjs', args, { uid: isRoot ? NOBODY : undefined })
  t.is(code, 0, stderr)
  const { uid, reader, ...refused } = JSON.parse(stdout) as Record<string, { code: string; message: string }>
  t.not(uid as unknown, 0)
  t.deepEqual(reader as unknown, { code: 'none', size: 3 })
  t.is(Object.keys(refused).length, 8)
  for (const [call, outcome] of Object.entries(refused)) {
    t.is(outcome.code, 'ERR_IO', call)
    t.regex(outcome.message, /failed: Permission denied/i, call)
  }
  t.deepEqual(await Promise.all([directoryToRead!, elsewhere!].map(listing)), before)
  await chmod(closed!, 0o755)
  await (await VectorIndex.open(closed!)).close()
})

async function savedTo(file: string): Promise<string> {
  const index = new VectorIndex({ dimensions: 2 })
  await index.add([1], [[1, 1]])
  await index.save(file)
  return file
}

/** Names with what would show a change. */
async function listing(place: string): Promise<unknown[]> {
  const names = (await readdir(place)).sort()
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs, mode } = await stat(path.join(place, name))
      return [name, size, mtimeMs, mode]
    }),
  )
}

test('on a file system that cannot be written, reading works and writing is ERR_IO', async (t) => {
  const mount = await mounted(4_096)
  if (typeof mount === 'string') return skip(t, mount)
  const place = path.join(mount.place, 'with spaces', 'ünïcode ✓')
  const index = await VectorIndex.open(place, { dimensions: 2 })
  await index.add([1, 2], vectors(2, 2))
  await index.save(path.join(mount.place, 'file'))
  const expected = await contents(index)
  await index.close()
  const before = await listing(place)
  mount.forbidWrites()
  await using reader = await VectorIndex.open(place, { readOnly: true })
  t.deepEqual(await contents(reader), expected)
  t.is((await VectorIndex.load(path.join(mount.place, 'file'))).size, 2)
  await using view = await VectorIndex.view(path.join(mount.place, 'file'))
  t.deepEqual(await contents(view), expected)
  const readOnly = /Read-only file system/i
  await rejects(t, () => VectorIndex.open(place), 'ERR_IO', readOnly)
  await rejects(t, () => VectorIndex.open(path.join(mount.place, 'new'), { dimensions: 2 }), 'ERR_IO', readOnly)
  await rejects(t, () => reader.save(path.join(mount.place, 'file')), 'ERR_IO', readOnly)
  const verified = await runFixture('../../dist/cli.js', ['verify', place])
  t.deepEqual([verified.code, verified.stdout], [0, 'note: 0 writes in the log after the snapshot\nsound: 2 rows\n'])
  t.deepEqual(await listing(place), before)
})

interface Contender {
  child: ChildProcess
  next(): Promise<string>
}

function contender(place: string): Contender {
  const child = spawn(process.execPath, [fixture('contend.mjs'), place], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  return { child, next: async () => ((await lines.next()) as { value: string }).value }
}

test('of processes that open one directory at once one has it, and the others are told', async (t) => {
  const place = path.join(directory, 'at once, ünïcode')
  for (let round = 0; round < 3; round++) {
    const contenders = range(5).map(() => contender(place))
    for (const { next } of contenders) t.is(await next(), 'ready')
    for (const { child } of contenders) child.stdin!.write('go\n')
    const said = await Promise.all(
      contenders.map(async ({ next }) => JSON.parse(await next()) as Record<string, string>),
    )
    const winners = said.filter(({ code }) => code === undefined)
    t.is(winners.length, 1, JSON.stringify(said))
    for (const { code, message } of said.filter((one) => one !== winners[0])) {
      t.is(code, 'ERR_LOCKED')
      t.regex(message!, /got a directory that .* has open, expected one without a writer/)
    }
    await rejects(t, () => VectorIndex.open(place), 'ERR_LOCKED', new RegExp(`process ${winners[0]!.pid} has`))
    const ended = contenders.map(({ child }) => new Promise((resolve) => child.on('close', resolve)))
    for (const { child } of contenders) child.stdin!.write('close\n')
    t.deepEqual(await Promise.all(ended), [0, 0, 0, 0, 0])
    await (await VectorIndex.open(place)).close()
  }
})

test('the lock of a process that was killed is free', async (t) => {
  const place = path.join(directory, 'killed')
  const { child, next } = contender(place)
  t.is(await next(), 'ready')
  child.stdin!.write('go\n')
  t.is((JSON.parse(await next()) as { code?: string }).code, undefined)
  await rejects(t, () => VectorIndex.open(place), 'ERR_LOCKED', new RegExp(`process ${child.pid} has`))
  const ended = new Promise((resolve) => child.on('close', resolve))
  child.kill('SIGKILL')
  await ended
  t.is(await readFile(path.join(place, 'lock'), 'utf8'), `${child.pid}`, 'the file is left, the lock is not')
  await (await VectorIndex.open(place)).close()
})

test('readers of other processes see a prefix of the writes, whatever is checkpointed beside them', async (t) => {
  const place = path.join(directory, 'readers')
  const rows = 4_000
  const index = await VectorIndex.open(place, { dimensions: 2, durability: 'buffered', threshold: 500 })
  await index.add([0], [[0, 1]])
  const readers = [1, 2].map(() => runFixture('reader.mjs', [place, rows]))
  for (let id = 1; id < rows; id += 10) {
    const ids = range(Math.min(10, rows - id), id)
    await index.add(
      ids,
      ids.map((one) => [one, 1]),
    )
    if (id % 50 === 1) await index.checkpoint()
    if (id % 200 === 1) await sleep(20)
  }
  for (const { code, stdout, stderr } of await Promise.all(readers)) {
    t.is(code, 0, stderr)
    const { looks, last } = JSON.parse(stdout) as { looks: number; last: number }
    t.true(last === rows && looks > 5, `${looks} looks`)
  }
  await index.close()
})
