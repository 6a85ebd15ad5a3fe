// What searchSync costs over a Rust call on the same index in the same process.
import { percentile } from '../../examples/measure.js'

/** Queries that both are asked in turn. */
const BLOCK = 20
const ROUNDS = 20

/**
 * Microseconds a query.
 *
 * @param searchSync searches for one query
 * @param all the queries, one after the other
 * @param fromRust the seconds that Rust calls take for a block of them
 */
export function measureOverhead(
  singles: readonly Float32Array[],
  searchSync: (query: Float32Array) => void,
  all: Float32Array,
  fromRust: (queries: Float32Array) => number,
): { rust: number; searchSync: number; difference: number } {
  const fromNode = (queries: readonly Float32Array[]): number => {
    const start = performance.now()
    for (const query of queries) searchSync(query)
    return (performance.now() - start) / 1000
  }
  // Until it is all compiled.
  for (let pass = 0; pass < 3; pass++) fromNode(singles)
  const dimensions = singles[0]?.length ?? 0
  const micros = {
    rust: [] as number[],
    searchSync: [] as number[],
    rustFirst: [] as number[],
    nodeFirst: [] as number[],
  }
  for (let round = 0; round < ROUNDS; round++) {
    const isRustFirst = round % 2 === 0
    for (let first = 0; first + BLOCK <= singles.length; first += BLOCK) {
      const block = all.subarray(first * dimensions, (first + BLOCK) * dimensions)
      // Whoever comes later finds more of the rows in the caches: so neither is the first, and they take turns as the
      // second.
      fromRust(block)
      const before = isRustFirst ? fromRust(block) : undefined
      const node = (fromNode(singles.slice(first, first + BLOCK)) * 1e6) / BLOCK
      const rust = ((before ?? fromRust(block)) * 1e6) / BLOCK
      micros.rust.push(rust)
      micros.searchSync.push(node)
      ;(isRustFirst ? micros.rustFirst : micros.nodeFirst).push(node - rust)
    }
  }
  // What being the third saves is taken off in one order and put on in the other. One median of both would be that of
  // two heaps, and lie somewhere between them.
  const difference = (median(micros.rustFirst) + median(micros.nodeFirst)) / 2
  return { rust: median(micros.rust), searchSync: median(micros.searchSync), difference }
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}
