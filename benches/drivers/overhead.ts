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
  const micros = { rust: [] as number[], searchSync: [] as number[], difference: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    for (let first = 0; first + BLOCK <= singles.length; first += BLOCK) {
      const block = all.subarray(first * dimensions, (first + BLOCK) * dimensions)
      // Whoever comes later finds the rows in the caches: so neither is the first, and they take turns as the second.
      fromRust(block)
      const before = round % 2 === 0 ? fromRust(block) : undefined
      const node = fromNode(singles.slice(first, first + BLOCK))
      const rust = before ?? fromRust(block)
      micros.rust.push((rust * 1e6) / BLOCK)
      micros.searchSync.push((node * 1e6) / BLOCK)
      micros.difference.push(((node - rust) * 1e6) / BLOCK)
    }
  }
  return { rust: median(micros.rust), searchSync: median(micros.searchSync), difference: median(micros.difference) }
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}
