// Where the repository is, and how its scripts start other programs. Node built-ins only: node_modules may not be there.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import path from 'node:path'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** A path in the repository. */
export const at = (...parts) => path.join(root, ...parts)

/** Runs a program with its output shown; throws if it cannot be started or fails. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  const result = spawnSync(command, args, { ...options(cwd, env), stdio: 'inherit' })
  check(command, args, result)
}

/** Runs a program and returns what it wrote to its standard output; throws like `run`. */
export function capture(command, args, { cwd = root, env = {} } = {}) {
  const result = spawnSync(command, args, { ...options(cwd, env), stdio: ['ignore', 'pipe', 'inherit'] })
  check(command, args, result)
  return result.stdout
}

/** Runs a command-line tool of node_modules. */
export const tool = (name, args, settings) => run(at('node_modules', '.bin', name), args, settings)

/** Whether a program can be started at all. */
export const installed = (command, args = ['--version']) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

// npm and the tools of node_modules are .cmd files on Windows, which only a shell starts.
const options = (cwd, env) => ({
  cwd,
  env: { ...process.env, ...env },
  encoding: 'utf8',
  shell: process.platform === 'win32',
})

function check(command, args, { error, status, signal }) {
  if (error) throw error
  if (status !== 0) throw new Error(`${[path.basename(command), ...args].join(' ')} ended with ${signal ?? status}`)
}
