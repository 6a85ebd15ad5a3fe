import { VectorIndex } from 'vicinal'
import { BUILD_THREADS, type Data } from './node.js'
import { rowNumbers } from './rows.js'

/** The index's default: with so many rows it begins to build its graph. */
export const THRESHOLD = 5_000

/** Rows that are bytes are kept as such. */
export function open({ base, dimensions, metric }: Data, migration: 'auto' | 'manual' = 'auto'): VectorIndex {
  const dtype = base instanceof Uint8Array ? 'u8' : 'f32'
  return new VectorIndex({ dimensions, metric, dtype, migration, threads: BUILD_THREADS })
}

/** An index with all the rows that it can have without a graph. */
export async function belowThreshold(data: Data): Promise<VectorIndex> {
  const index = open(data)
  await add(data, index, 0, THRESHOLD - 1)
  return index
}

export async function add({ base, dimensions }: Data, index: VectorIndex, first: number, end: number): Promise<void> {
  await index.add(rowNumbers(first, end), base.subarray(first * dimensions, end * dimensions))
}
