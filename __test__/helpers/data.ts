/** Numbers in 0 … 1, the same in every run (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Rows of values in −1 … 1. */
export function vectors(count: number, dimensions: number, seed = 1): Float32Array {
  const next = random(seed)
  return Float32Array.from({ length: count * dimensions }, () => next() * 2 - 1)
}

/**
 * Rows of whole numbers in −9 … 9. Their squared distances and inner products are exact in single precision, so that
 * answers can be compared to the last bit, and many of them tie.
 */
export function wholeVectors(count: number, dimensions: number, seed = 1): Float32Array {
  const next = random(seed)
  return Float32Array.from({ length: count * dimensions }, () => Math.floor(next() * 19) - 9)
}

export function rowOf(rows: Float32Array, row: number, dimensions: number): Float32Array {
  return rows.subarray(row * dimensions, (row + 1) * dimensions)
}

/** `count` whole numbers from `first` on. */
export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}
