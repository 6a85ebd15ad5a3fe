// `npm run test:crash`: the tests of crashes, with more of them: 1,000 kills of a process and 10,000 power losses.
import { run, tool } from './run.mjs'
import { setUp } from './setup.mjs'

setUp()
const { VICINAL_KILLS = '1000', VICINAL_HISTORIES = '10000' } = process.env
tool('ava', ['__test__/crash.test.ts'], { env: { VICINAL_KILLS } })
run('cargo', ['test', '-p', 'vicinal-core', '--lib', 'durable::tests::histories'], { env: { VICINAL_HISTORIES } })
