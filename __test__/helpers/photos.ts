import { fileURLToPath } from 'node:url'
import type { VectorIndex } from 'vicinal'
import { readTruth, readVectors } from '../../examples/formats.js'

/** The real data set of the repository: descriptors of photographs, queries, and their exact nearest neighbors. */
export interface Photos {
  rows: Float32Array
  queries: Float32Array
  dimensions: number
  count: number
  /**
   * Recall@10 of answers to all queries by an index of the first `present` rows: a hit counts when it is no farther
   * than the true tenth of these rows.
   */
  recall(index: VectorIndex, ef: number, present?: number): Promise<number>
}

export async function readPhotos(): Promise<Photos> {
  const [base, query, truth] = await Promise.all([
    readVectors(pathOf('base.u8bin')),
    readVectors(pathOf('query.u8bin')),
    readTruth(pathOf('groundtruth.k100.ibin')),
  ])
  const tenth = (i: number, present: number): number => {
    const list = truth.ids.subarray(i * truth.k, (i + 1) * truth.k)
    return truth.distances![i * truth.k + list.indexOf(list.filter((id) => id < present)[9]!)]!
  }
  const queries = Float32Array.from(query.rows)
  return {
    rows: Float32Array.from(base.rows),
    queries,
    dimensions: base.dimensions,
    count: base.n,
    async recall(index, ef, present = base.n) {
      const bounds = Array.from({ length: query.n }, (_, i) => tenth(i, present))
      const { distances } = await index.searchBatch(queries, { k: 10, ef })
      let found = 0
      for (const [place, distance] of distances.entries()) if (distance <= bounds[Math.floor(place / 10)]!) found++
      return found / distances.length
    },
  }
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../examples/data/${name}`, import.meta.url))
}
