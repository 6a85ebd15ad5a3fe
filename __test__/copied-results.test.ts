import test, { type ExecutionContext } from 'ava'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { fixture, runFixture, type Ended } from './helpers/children.js'
import { temporaryDirectory } from './helpers/files.js'

const owned = runFixture('copied.mjs')

function same(t: ExecutionContext, expected: Ended, copied: Ended): void {
  t.is(expected.code, 0, expected.stderr)
  t.is(copied.code, 0, copied.stderr)
  t.deepEqual(JSON.parse(copied.stdout), JSON.parse(expected.stdout))
  t.deepEqual(Object.keys(JSON.parse(expected.stdout) as object), ['number', 'bigint', 'string', 'wide'])
}

test('results are the same where all are copied', async (t) => {
  same(t, await owned, await runFixture('copied.mjs', [], { env: { VICINAL_COPY_RESULTS: '1' } }))
})

test('results are the same where the runtime refuses memory of ours', async (t) => {
  const library = path.join(await temporaryDirectory(), 'refuse-buffers.so')
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, fixture('refuse-buffers.c')], { stdio: 'ignore' })
  } catch {
    t.pass('only where a C compiler for glibc is')
    return
  }
  const refused = await runFixture('copied.mjs', [], { env: { LD_PRELOAD: library } })
  t.regex(refused.stderr, /refused/)
  same(t, await owned, refused)
})
