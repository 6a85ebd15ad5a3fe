import test from 'ava'
import { Worker } from 'node:worker_threads'
import { fixture } from './helpers/children.js'
import { range } from './helpers/data.js'

function run(round: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fixture('worker.mjs'), { workerData: round, execArgv: [] })
    let message: unknown
    worker.on('message', (value) => (message = value))
    worker.on('error', reject)
    worker.on('exit', (code) => resolve({ code, message }))
  })
}

test('several workers use the package at once and end by themselves', async (t) => {
  for (let wave = 0; wave < 3; wave++) {
    const outcomes = await Promise.all(range(4, wave * 4).map(run))
    t.deepEqual(outcomes, range(4, wave * 4).map((round) => ({ code: 0, message: { round, found: round, code: 'ERR_DUPLICATE_ID', moved: 600 } }))) // prettier-ignore
  }
})
