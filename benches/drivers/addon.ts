// The addon of benches/out/native, which can also search from Rust: cargo feature `bench`. To be imported before vicinal,
// which then uses it too.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

interface BenchIndex {
  describe(): object
  searchSeconds(queries: Float32Array, k: number, ef: number): number
}

process.env.NAPI_RS_NATIVE_LIBRARY_PATH = fileURLToPath(new URL('../out/native/vicinal.node', import.meta.url))
const native = createRequire(import.meta.url)('../../native/binding.js') as { NativeIndex: { prototype: BenchIndex } }

const { prototype } = native.NativeIndex
const { describe } = prototype
let latest: BenchIndex | undefined
// Each index asks once, when it is made.
prototype.describe = function describeLatest(this: BenchIndex) {
  return describe.call(remember(this))
}

function remember(index: BenchIndex): BenchIndex {
  latest = index
  return index
}

/** The seconds that searches by Rust calls take on the index that was made last when this was called. */
export function rustSearches(): (queries: Float32Array, k: number, ef: number) => number {
  const index = latest
  if (index === undefined) throw new Error('expected an index')
  return (queries, k, ef) => index.searchSeconds(queries, k, ef)
}
