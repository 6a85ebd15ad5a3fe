// `npm run soak`: ten minutes of mixed load in a process whose resident size must stay flat; VICINAL_SOAK for other seconds.
import { tool } from './run.mjs'
import { setUp } from './setup.mjs'

setUp()
const { VICINAL_SOAK = '600' } = process.env
tool('ava', ['__test__/soak.test.ts', '--timeout', '20m'], { env: { VICINAL_SOAK } })
