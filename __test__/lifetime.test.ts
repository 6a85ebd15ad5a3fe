import test from 'ava'
import { inParallel, runFixture } from './helpers/children.js'
import { temporaryDirectory } from './helpers/files.js'

const directory = await temporaryDirectory()

async function outcome(scenario: string): Promise<object> {
  const { code, signal, stdout } = await runFixture('lifetime.mjs', [scenario, directory], { timeout: 30_000 })
  return { scenario, code, signal, stdout }
}

test('a process with nothing pending ends by itself', async (t) => {
  const scenarios = ['nothing', 'idle', 'background', 'paused', 'dispose']
  const outcomes = await inParallel(scenarios.map((scenario) => () => outcome(scenario)), 2) // prettier-ignore
  t.deepEqual(outcomes, scenarios.map((scenario) => ({ scenario, code: 0, signal: null, stdout: '' }))) // prettier-ignore
})

test('a pending promise keeps the process alive until it settles', async (t) => {
  const scenarios = ['add', 'search', 'migrate', 'save', 'failure', 'close', 'aborted']
  const outcomes = await inParallel(scenarios.map((scenario) => () => outcome(scenario)), 2) // prettier-ignore
  t.deepEqual(outcomes, scenarios.map((scenario) => ({ scenario, code: 0, signal: null, stdout: 'settled\n' }))) // prettier-ignore
})

test('a rejection that nobody handles ends the process as any other does', async (t) => {
  const { code, stderr } = await runFixture('lifetime.mjs', ['unhandled'])
  t.is(code, 1)
  t.regex(stderr, /ERR_DIMENSION_MISMATCH/)
})
