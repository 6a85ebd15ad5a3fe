import test from 'ava'
import { runFixture } from './helpers/children.js'

test('results are the same where runtimes refuse memory of ours', async (t) => {
  const [owned, copied] = await Promise.all([
    runFixture('copied.mjs'),
    runFixture('copied.mjs', [], { env: { VICINAL_COPY_RESULTS: '1' } }),
  ])
  t.is(owned.code, 0, owned.stderr)
  t.is(copied.code, 0, copied.stderr)
  t.deepEqual(JSON.parse(copied.stdout), JSON.parse(owned.stdout))
  t.deepEqual(Object.keys(JSON.parse(owned.stdout) as object), ['number', 'bigint', 'string', 'wide'])
})
