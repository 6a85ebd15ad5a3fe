import test from 'ava'
import { readdir } from 'node:fs/promises'
import { VectorIndex } from 'vicinal'
import { inParallel, runFixture } from './helpers/children.js'
import { random, range } from './helpers/data.js'
import { temporaryDirectory } from './helpers/files.js'

const rounds = 100

test.serial('process.exit in the middle of anything ends with its code', async (t) => {
  const directory = await temporaryDirectory()
  const next = random(3)
  const tasks = range(rounds).map((round) => async () => {
    const delay = Math.floor(next() * 25)
    const { code, signal, stderr } = await runFixture('exit.mjs', [round, delay, directory], { timeout: 30_000 })
    return code === 42 && signal === null ? undefined : { round, delay, code, signal, stderr }
  })
  t.deepEqual((await inParallel(tasks, 3)).filter(Boolean), [])
  await areWhole(directory)
})

test.serial('workers are terminated in the middle of anything', async (t) => {
  const directory = await temporaryDirectory()
  const tasks = range(2).map(() => () => runFixture('terminate.mjs', [rounds / 2, directory], { timeout: 90_000 }))
  for (const { code, signal, stdout, stderr } of await inParallel(tasks, 2)) {
    t.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
    t.deepEqual(JSON.parse(stdout), { terminated: rounds / 2, found: 2 })
  }
  await areWhole(directory)
})

/** Whatever was saved when the end came: a file is whole or is not there. */
async function areWhole(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('.')) await (await VectorIndex.load(`${directory}/${name}`)).close()
  }
}
