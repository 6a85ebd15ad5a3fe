// Where the programs are that measure, and what starts them.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const here = (...parts: string[]): string => join(root, 'benches', ...parts)

/** Loads TypeScript. */
export const register = import.meta.resolve('@oxc-node/core/register')
export const interpreter = here('.venv', 'bin', 'python')

/** No files beside the sources. */
export const pythonEnv = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }

const napi = join(root, 'node_modules', '.bin', 'napi')
const target = join(root, 'target', 'compare')
export const driverBinary = join(target, 'release', 'vicinal-compare')

/** Compiled ahead, so that nothing is compiled while others are measured. */
export function buildDriver(peers: boolean): void {
  const manifest = join(root, 'crates', 'compare', 'Cargo.toml')
  const args = ['build', '--release', '--quiet', '--locked', '--manifest-path', manifest, '--target-dir', target]
  execFileSync('cargo', peers ? [...args, '--features', 'peers'] : args, { cwd: root, stdio: 'inherit' })
}

/** Builds the addon that vicinal is measured with from Node: see drivers/addon.ts. */
export function buildAddon(): void {
  const options = `--manifest-path crates/node/Cargo.toml --package vicinal-node --package-json-path package.json
    --output-dir benches/out/native --release --features bench`
  execFileSync(napi, ['build', ...options.split(/\s+/)], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
}

export function runNode(script: string, args: readonly string[]): void {
  execFileSync(process.execPath, ['--import', register, script, ...args], { stdio: 'inherit' })
}

export function runPython(script: string, args: readonly string[]): void {
  if (!existsSync(interpreter)) throw new Error('needs Python packages: run node benches/setup-peers.mjs')
  execFileSync(interpreter, [script, ...args], { env: pythonEnv, stdio: 'inherit' })
}

/** What a program prints when asked for its version; null where there is none. */
export function versionOf(command: string, args = ['--version']): string | null {
  try {
    return execFileSync(command, args, { encoding: 'utf8', cwd: root, stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return null
  }
}
