import type { ExecutionContext } from 'ava'
import type { Hit, Metric } from 'vicinal'
import { rowOf } from './data.js'

/** The distance by its definition, in double precision. */
export function distance(metric: Metric, a: ArrayLike<number>, b: ArrayLike<number>): number {
  let dot = 0
  let squared = 0
  let normA = 0
  let normB = 0
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!]
    dot += x * y
    squared += (x - y) ** 2
    normA += x * x
    normB += y * y
  }
  switch (metric) {
    case 'l2':
      return squared
    case 'ip':
      // Not −0, which assertions tell from 0.
      return 0 - dot
    case 'cosine':
      return 1 - dot / Math.sqrt(normA * normB)
  }
}

/** The `k` nearest of the rows that are kept, by distance and then by row number. */
export function nearest(
  metric: Metric,
  rows: Float32Array,
  query: ArrayLike<number>,
  k: number,
  keep: (row: number) => boolean = () => true,
): Hit<number>[] {
  const hits: Hit<number>[] = []
  for (let id = 0; id * query.length < rows.length; id++) {
    if (keep(id)) hits.push({ id, distance: distance(metric, query, rowOf(rows, id, query.length)) })
  }
  return hits.sort((a, b) => a.distance - b.distance || a.id - b.id).slice(0, k)
}

/**
 * Whether `hits` are as near as `expected`, rank by rank, each distance being that of its row. Row numbers may differ
 * where distances are nearly equal.
 */
export function areAsNear(
  t: ExecutionContext,
  hits: readonly Hit<number>[],
  expected: readonly Hit<number>[],
  distanceTo: (id: number) => number,
  tolerance = 1e-5,
): void {
  t.is(hits.length, expected.length)
  t.is(new Set(hits.map(({ id }) => id)).size, hits.length, 'no id twice')
  for (const [rank, hit] of hits.entries()) {
    const bound = tolerance * Math.max(1, Math.abs(expected[rank]!.distance))
    const offBy = Math.abs(hit.distance - expected[rank]!.distance)
    if (!(offBy <= bound)) t.fail(`rank ${rank}: distance ${hit.distance}, expected ${expected[rank]!.distance}`)
    const own = distanceTo(hit.id)
    if (!(Math.abs(hit.distance - own) <= bound)) t.fail(`rank ${rank}: ${hit.distance} is not ${own}, that of its row`)
  }
}
