// Where the repository is, and how its scripts start other programs. Node built-ins only: node_modules may not be there.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import path from 'node:path'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A path in the repository. */
export const at = (...parts) => path.join(root, ...parts)

/** Runs a program with its output shown; throws if it cannot be started or fails. */
export function run(command, args, { cwd = root, env = {}, shell = false } = {}) {
  const result = spawnSync(command, args, { cwd, env: { ...process.env, ...env }, shell, stdio: 'inherit' })
  if (result.error) throw result.error
  if (result.status === 0) return
  throw new Error(`${[path.basename(command), ...args].join(' ')} ended with ${result.signal ?? result.status}`)
}

// npm and the tools in node_modules are .cmd files on Windows, which only a shell starts.
const shell = process.platform === 'win32'

/** Runs npm. */
export const npm = (args, options) => run('npm', args, { ...options, shell })

/** Runs a command-line tool of node_modules. */
export const tool = (name, args, options) => run(at('node_modules', '.bin', name), args, { ...options, shell })

/** Whether a program is there, asked by a command that does nothing else. */
export const installed = (command, args = ['--version']) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
