// The addon of benches/out/native, which can also search from Rust and count distances: cargo feature `bench`. To be imported before vicinal,
// which then uses it too.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** What the addon has for an index beside what all addons have. */
export interface BenchIndex {
  /** The seconds that searches for these queries take, one Rust call each. */
  searchSeconds(queries: Float32Array, k: number, ef: number): number
  /** Distances that searches of the graph, insertions included, have computed so far. */
  evaluations(): number
}

interface NativeIndex extends BenchIndex {
  describe(): object
}

process.env.NAPI_RS_NATIVE_LIBRARY_PATH = fileURLToPath(new URL('../out/native/vicinal.node', import.meta.url))
const native = createRequire(import.meta.url)('../../native/binding.js') as { NativeIndex: { prototype: NativeIndex } }

const { prototype } = native.NativeIndex
const { describe } = prototype
let latest: NativeIndex | undefined
// Each index asks once, when it is made.
prototype.describe = function describeLatest(this: NativeIndex) {
  return describe.call(remember(this))
}

function remember(index: NativeIndex): NativeIndex {
  latest = index
  return index
}

/** The index that was made last. */
export function benchIndex(): BenchIndex {
  if (latest === undefined) throw new Error('expected an index')
  return latest
}
