// A mixed load in a process of its own, which must not grow: half a minute here, ten by `npm run soak`.
import test, { type ExecutionContext } from 'ava'
import { runFixture } from './helpers/children.js'
import { temporaryDirectory } from './helpers/files.js'

const seconds = Number(process.env.VICINAL_SOAK ?? 30)
const MiB = 2 ** 20

/** Resident sizes after each round. */
async function soak(t: ExecutionContext, time: number, how: 'sound' | 'leak'): Promise<number[]> {
  const timeout = (time + 60) * 1_000
  t.timeout(timeout)
  const { code, stdout, stderr } = await runFixture('soak.mjs', [time, how, await temporaryDirectory()], { timeout })
  t.is(code, 0, stderr)
  return JSON.parse(stdout) as number[]
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

/** By how much the last third of the rounds takes more than the middle one; the first warms up. */
function growth(sizes: number[]): number {
  const third = Math.floor(sizes.length / 3)
  return median(sizes.slice(-third)) - median(sizes.slice(third, 2 * third))
}

/** What is no growth: allocators keep some more or less for themselves. */
const isFlat = (sizes: number[]): boolean => growth(sizes) < Math.max(0.05 * median(sizes), 6 * MiB)

test.serial(`the resident size stays flat under ${seconds} s of mixed load`, async (t) => {
  const sizes = await soak(t, seconds, 'sound')
  t.log(
    `${sizes.length} rounds, ${(median(sizes) / MiB).toFixed(0)} MiB, growth ${(growth(sizes) / MiB).toFixed(1)} MiB`,
  )
  t.true(sizes.length > seconds / 2, `${sizes.length} rounds`)
  t.true(isFlat(sizes), sizes.map((size) => (size / MiB).toFixed(0)).join(' '))
})

test.serial('null control: a small index a round that is not let go of is noticed', async (t) => {
  const sizes = await soak(t, 12, 'leak')
  t.false(isFlat(sizes), sizes.map((size) => (size / MiB).toFixed(0)).join(' '))
})
