// `npm test`: from a fresh clone to every check that there is, stopping at the first that fails. A step that cannot run
// here returns why.
import { existsSync, readFileSync } from 'node:fs'
import { testArm64 } from './arm64.mjs'
import { at, installed, npm, run, tool } from './run.mjs'
import { buildNative, buildTypeScript, install } from './setup.mjs'

const cargo = (...args) => run('cargo', args)
const node = (...args) => run(process.execPath, args)

/** A workspace of its own. */
const comparison = ['--manifest-path', 'crates/compare/Cargo.toml']

const steps = {
  install,
  rustfmt: checkFormat,
  prettier: () => tool('prettier', ['--check', '.']),
  oxlint: () => npm(['run', '--silent', 'lint']),
  clippy: () => cargo('clippy', '--locked', '--workspace', '--all-targets', '--all-features', '--', '-D', 'warnings'),
  'clippy of the comparison': clippyComparison,
  'rust tests': testRust,
  'rust doc tests': () => cargo('test', '--doc', '--workspace', '--all-features'),
  'rust docs': () => run('cargo', ['doc', '--workspace', '--no-deps'], { env: { RUSTDOCFLAGS: '-D warnings' } }),
  'build and generated files': buildUnchanged,
  'type check': typeCheck,
  ava: () => tool('ava', []),
  package: () => node(at('__test__', 'package', 'run.mjs')),
  // Under qemu all tests would take hours; the kernels are what differs there.
  'linux-arm64': () => testArm64(['distance']),
}

process.exitCode = runInOrder() ? 0 : 1

function runInOrder() {
  const report = []
  let passed = 0
  let failed = 0
  for (const [name, step] of Object.entries(steps)) {
    console.log(`\n── ${name}`)
    const start = performance.now()
    let skipped
    try {
      skipped = step()
      if (!skipped) passed++
    } catch (error) {
      console.error(error.message)
      failed = 1
    }
    const seconds = `${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s`
    const mark = failed ? '✗' : skipped ? '–' : '✓'
    report.push(`${mark} ${name.padEnd(26)} ${skipped ?? seconds}`)
    if (failed) break
  }
  console.log(`\n${report.join('\n')}\n${passed} passed, ${failed} failed, ${report.length - passed - failed} skipped`)
  return failed === 0
}

function checkFormat() {
  cargo('fmt', '--all', '--check')
  cargo('fmt', '--check', ...comparison)
}

/** Without the peers, which are for those to download who compare. */
function clippyComparison() {
  cargo('clippy', '--locked', ...comparison, '--target-dir', 'target/compare', '--', '-D', 'warnings')
}

function testRust() {
  const nextest = installed('cargo', ['nextest', '--version'])
  cargo(...(nextest ? ['nextest', 'run'] : ['test', '--tests']), '--workspace', '--all-features')
}

function typeCheck() {
  tool('tsc', [])
  tool('tsc', ['--project', 'benches'])
}

/** Builds everything, and fails if that changes what is committed: loader, native typings, public typings. */
function buildUnchanged() {
  const before = generatedFiles()
  buildNative()
  buildTypeScript()
  const after = generatedFiles()
  const changed = [...after.keys()].filter((file) => before.get(file) !== after.get(file))
  if (changed.length > 0) throw new Error(`the build changed ${changed.join(' and ')}: review and commit`)
}

function generatedFiles() {
  const files = ['native/binding.js', 'native/binding.d.ts', 'etc/vicinal.d.ts'].filter((file) => existsSync(at(file)))
  return new Map(files.map((file) => [file, readFileSync(at(file), 'utf8')]))
}
