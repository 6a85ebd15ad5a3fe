// What a user writes. Compiled and run as an ES module and as CommonJS, with `lib: es2022` and no other types.
import { VectorIndex, VicinalError } from 'vicinal'
import type { Hit } from 'vicinal'
import * as vicinal from 'vicinal'

export { VicinalError }

/** What the package exports, whichever way it was loaded. */
export const names: string[] = Object.keys(vicinal)
  .filter((name) => name !== 'default' && name !== '__esModule' && name !== 'module.exports')
  .sort()

/** The ids nearest to a query among three vectors. */
export async function nearest(): Promise<number[]> {
  const index = new VectorIndex({ dimensions: 2 })
  await index.add([1, 2, 3], new Float32Array([0, 0, 1, 0, 5, 5]))
  const hits: Hit<number>[] = await index.search(new Float32Array([0.9, 0]), { k: 2 })
  await index.close()
  return hits.map((hit) => hit.id)
}

/** The error of an index without dimensions. */
export function failure(): VicinalError {
  try {
    const index = new VectorIndex({ dimensions: 0 })
    throw new Error(`got ${index.dimensions} dimensions, expected an error`)
  } catch (error) {
    if (error instanceof VicinalError) return error
    throw error
  }
}
