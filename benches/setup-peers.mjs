// Installs the peers that the comparison runs against, each by itself: packages of PyPI into benches/.venv, packages of
// npm into benches/peers, crates by compiling crates/compare. What cannot be had is no failure; benches/peers/state.json
// keeps the reason, and the comparison reports it. Node built-ins only.
//
// hnswlib is compiled here from its source package, for this machine's processor (its setup.py tries -march=native
// first), as any user of PyPI gets it; the others are wheels that pick their instructions when they are loaded.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const python = here('.venv/bin/python')
const crates = ['hnsw_rs']

const state = { ...installPython(), ...installNode(), ...compileCrates() }
writeFileSync(here('peers/state.json'), JSON.stringify(state, null, 2) + '\n')
for (const [name, { reason }] of Object.entries(state)) {
  console.log(`${reason === undefined ? '✓' : '✗'} ${name}${reason === undefined ? '' : `: ${reason}`}`)
}

function installPython() {
  // Each entry of requirements.txt, by the name of the package.
  const packages = new Map(
    readFileSync(here('peers/requirements.txt'), 'utf8')
      .split('\n')
      .filter((line) => /^\w/.test(line))
      .map((line) => [line.split('==')[0], line]),
  )
  const common = ['numpy', 'h5py'].map((name) => packages.get(name))
  const peers = {
    hnswlib: 'hnswlib',
    faiss: 'faiss-cpu',
    usearch: 'usearch',
    'scalable-vs': 'scalable-vs',
    omendb: 'omendb',
  }
  const pip = (...args) => attempt(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...args])

  const venv = existsSync(python) ? undefined : attempt('python3', ['-m', 'venv', here('.venv')])
  const broken = venv ?? pip(...common)
  return Object.fromEntries(
    Object.entries(peers).map(([id, name]) => {
      if (broken !== undefined) return [id, { reason: broken }]
      // A wheel that pip built earlier, on another machine maybe, must not stand in for one built here.
      const built = name === 'hnswlib' ? ['--no-cache-dir', '--no-binary', 'hnswlib'] : []
      return [id, { reason: pip(...built, packages.get(name)) }]
    }),
  )
}

/** Unpacks all packages first, so that one that fails to compile does not take the others along. */
function installNode() {
  const peers = { 'hnswlib-node': 'hnswlib-node', 'usearch-node': 'usearch' }
  const unpacked = npm('install', '--ignore-scripts', '--no-package-lock')
  return Object.fromEntries(
    Object.entries(peers).map(([id, name]) => [id, { reason: unpacked ?? npm('rebuild', name) ?? loads(name) }]),
  )
}

function npm(...args) {
  return attempt('npm', [...args, '--no-audit', '--no-fund', '--prefix', here('peers')])
}

/** Whether Node can load it, since a package may install and still not fit the machine. */
function loads(name) {
  const script = `require(require.resolve(${JSON.stringify(name)}, { paths: [${JSON.stringify(here('peers'))}] }))`
  return attempt(process.execPath, ['--eval', script])
}

function compileCrates() {
  const reason = attempt('cargo', [
    'build',
    '--release',
    '--locked',
    '--features',
    'peers',
    '--manifest-path',
    here('../crates/compare/Cargo.toml'),
    '--target-dir',
    here('../target/compare'),
  ])
  return Object.fromEntries(crates.map((id) => [id, { reason }]))
}

/** Why a command failed, in the last line that names an error; undefined if it did not fail. */
function attempt(command, args) {
  console.log(`> ${command} ${args.join(' ')}`)
  const shell = process.platform === 'win32'
  const { status, error, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    shell,
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  if (error !== undefined) return error.message
  if (status === 0) return undefined
  process.stderr.write(stderr)
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? `${command} ended with ${status}`).trim()
}
