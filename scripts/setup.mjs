// From a fresh clone to a built package; what is up to date is left alone.
import { existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { at, npm } from './run.mjs'

/** Installs what package-lock.json names. */
export function install() {
  // npm leaves a lock file of its own behind, which tells when it last ran.
  if (isNewer('node_modules/.package-lock.json', ['package-lock.json'])) return
  npm(['ci', '--no-audit', '--no-fund'])
}

/** Builds the native addon with its loader and typings. */
export const buildNative = () => npm(['run', '--silent', 'build:native'])

/** Compiles the TypeScript sources into dist/. */
export const buildTypeScript = () => npm(['run', '--silent', 'build:ts'])

/** Installs and builds what is missing or older than its sources. */
export function setUp() {
  install()
  const addon = readdirSync(at('native')).find((file) => file.endsWith('.node'))
  if (!addon || !isNewer(`native/${addon}`, ['Cargo.toml', 'Cargo.lock', '.cargo', 'crates'])) buildNative()
  const sources = ['index.ts', 'index.mts', 'ts', 'native/binding.d.ts', 'tsconfig.build.json']
  if (!isNewer('dist/index.mjs', sources)) buildTypeScript()
}

/** Whether an output exists and is newer than every file and folder among its inputs, as make would decide. */
function isNewer(output, inputs) {
  return existsSync(at(output)) && inputs.every((input) => newest(at(input)) <= statSync(at(output)).mtimeMs)
}

function newest(file) {
  const stat = statSync(file)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(file).map((name) => newest(path.join(file, name))))
}
