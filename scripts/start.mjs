// `npm start`, `npm run bench` and `npm run bench:peers`: builds what is out of date, then runs a program in TypeScript,
// which is the first argument, with the others.
import { spawnSync } from 'node:child_process'
import { at } from './run.mjs'
import { setUp } from './setup.mjs'

setUp()
const [program, ...args] = process.argv.slice(2)
const register = import.meta.resolve('@oxc-node/core/register')
// Paths among the arguments are relative to where npm was called.
const cwd = process.env.INIT_CWD ?? at()
const { status } = spawnSync(process.execPath, ['--import', register, at(program), ...args], { cwd, stdio: 'inherit' })
process.exitCode = status ?? 1
