// Fuzzes the readers of files and of logs: `npm run fuzz [-- seconds]`, a minute each unless told otherwise. It needs a
// nightly compiler and cargo-fuzz, and says so where one is missing.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { at } from './run.mjs'

const works = (...args) => spawnSync('cargo', args, { stdio: 'ignore' }).status === 0
const missing = [
  works('+nightly', '--version') || 'a nightly compiler: rustup toolchain install nightly',
  works('fuzz', '--version') || 'cargo-fuzz: cargo install cargo-fuzz',
].filter((what) => what !== true)

if (missing.length > 0) {
  console.error(`Fuzzing needs\n${missing.map((what) => `- ${what}`).join('\n')}`)
  process.exit(1)
}

// What there is to begin with: the committed files, and behind each the byte that says that checksums are made right.
const corpus = at('fuzz', 'corpus', 'file')
mkdirSync(corpus, { recursive: true })
const golden = at('crates', 'core', 'tests', 'golden')
for (const name of readdirSync(golden))
  writeFileSync(`${corpus}/${name}`, Buffer.concat([readFileSync(`${golden}/${name}`), Buffer.of(1)]))

const seconds = process.argv[2] ?? '60'
for (const target of ['file', 'log']) {
  const args = ['+nightly', 'fuzz', 'run', target, '--', `-max_total_time=${seconds}`, '-max_len=65536', '-timeout=10']
  const { status } = spawnSync('cargo', args, { cwd: at('.'), stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
