// Processes that write are killed, at any moment and at named points. What was acknowledged must be there again, and
// nothing but the beginning of the history. VICINAL_KILLS=1000 for more kills; npm run test:crash.
import test from 'ava'
import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { Model, write } from './fixtures/history.mjs'
import { fixture } from './helpers/children.js'
import { random } from './helpers/data.js'
import { temporaryDirectory } from './helpers/files.js'

const kills = Number(process.env.VICINAL_KILLS ?? 40)
const points = ['logged', 'commit', 'rotated', 'snapshot', 'chunk', 'compacted']
/** Lives that one directory goes through. */
const lives = 20
/** Writes that may be under way at once. */
const window = 6

const directory = await temporaryDirectory()

interface Life {
  /** What was there when it began; undefined if it was killed before it could say. */
  found: string | undefined
  /** The last write that was acknowledged, and whether it closed. */
  acknowledged: number
  ended: string
}

/** Starts a process that goes on with the history where `next` says, given what it finds, and ends it; at once if that is nowhere. */
async function live(
  args: string[],
  killAfter: number | undefined,
  next: (found: string) => number | undefined,
): Promise<Life> {
  const child = spawn(process.execPath, [fixture('crash.mjs'), ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  const life: Life = { found: undefined, acknowledged: -1, ended: '' }
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  child.stdin.on('error', () => undefined)
  // What hangs is killed too, and then noticed.
  const hangs = setTimeout(() => child.kill('SIGTERM'), 60_000)
  const lines = createInterface(child.stdout).on('line', (line) => {
    const [what, ...rest] = line.split(' ')
    if (what === 'holds') {
      life.found = rest.join(' ')
      const from = next(life.found)
      if (from === undefined) child.kill('SIGKILL')
      else child.stdin.write(`${from}\n`)
      if (killAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfter)
    } else if (what === 'acknowledged') {
      life.acknowledged = Math.max(life.acknowledged, Number(rest[0]))
    }
  })
  const exited = new Promise<string>((resolve) => {
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
  await new Promise((resolve) => lines.on('close', resolve))
  life.ended = await exited
  clearTimeout(hangs)
  if (!['SIGKILL', 'SIGABRT', 'exit code 0'].includes(life.ended)) throw new Error(`${life.ended}: ${errors}`)
  return life
}

/** The contents after each number of writes, made as they are asked for. */
class History {
  readonly #model = new Model()
  readonly #digests: string[] = [this.#model.digest()]

  constructor(readonly seed: number) {}

  after(writes: number): string {
    while (this.#digests.length <= writes) {
      this.#model.apply(write(this.seed, this.#digests.length - 1))
      this.#digests.push(this.#model.digest())
    }
    return this.#digests[writes]!
  }
}

async function check(seed: number, durability: string, count: number, early = 0): Promise<Set<string>> {
  const place = path.join(directory, `${durability} ${seed} ${early}`)
  const history = new History(seed)
  const next = random(seed)
  const ended = new Set<string>()
  let least = 0
  for (let round = 0; round <= count; round++) {
    const atPoint = round % 2 === 1
    const point = atPoint ? points[Math.floor(next() * points.length)]! : 'none'
    const args = [place, durability, `${seed}`, point, `${Math.floor(next() * 30)}`, `${early}`]
    // Where a point is not met for long, the process is killed after all.
    const killAfter = atPoint ? 1_500 : next() * 150
    let from = least
    const life = await live(args, killAfter, (found) => {
      const most = least + window + 1
      const matches = (writes: number): boolean => found === `0 unreachable, ${history.after(writes)}`
      for (from = most; from >= least && !matches(from);) from--
      return from < least ? undefined : from
    })
    if (from < least) {
      throw new Error(`${durability}, seed ${seed}, life ${round}: found ${life.found} after ${least} writes`)
    }
    if (life.found !== undefined) least = Math.max(from, life.acknowledged + 1)
    ended.add(life.ended)
  }
  await rm(place, { recursive: true })
  return ended
}

for (let part = 0; part < kills / lives; part++) {
  const name = part % 3 === 0 ? 'buffered' : 'fsync'
  test.serial(`what was acknowledged survives ${lives} kills, part ${part + 1}, ${name}`, async (t) => {
    t.timeout(10 * 60_000)
    const ended = await check(part + 1, name, lives)
    t.true(ended.has('SIGKILL') && ended.has('SIGABRT'), [...ended].join(', '))
  })
}

test.serial('null control: what is acknowledged too early is missed', async (t) => {
  await t.throwsAsync(() => check(0, 'fsync', lives, 8), { message: /found .* after \d+ writes/ })
})
