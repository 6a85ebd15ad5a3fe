// `npm start`: sets up, then runs the demonstration with the arguments given.
import { spawnSync } from 'node:child_process'
import { at } from './run.mjs'
import { setUp } from './setup.mjs'

setUp()
const register = import.meta.resolve('@oxc-node/core/register')
const args = ['--import', register, at('examples', 'start.ts'), ...process.argv.slice(2)]
// Paths among the arguments are relative to where npm was called.
const { status } = spawnSync(process.execPath, args, { cwd: process.env.INIT_CWD ?? at(), stdio: 'inherit' })
process.exitCode = status ?? 1
