// Arithmetic over what was measured.
import type { Point, System } from './report.js'

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

export function buildRate({ build }: System): number {
  return build.vectorsPerSecond
}

/**
 * Queries a second at which a system reaches a recall: between the two neighboring points, the logarithm of the speed is
 * taken as linear in the recall. The speed of the first point where that is enough already; undefined where none is.
 */
export function speedAt({ points, way }: System, target: number): number | undefined {
  const speed = (point: Point): number => point.ways[way]?.qps ?? NaN
  return interpolate(points, target, (point) => Math.log(speed(point)), Math.exp)
}

/** The median latency of a single call at a recall, in microseconds; taken as {@link speedAt} is. */
export function latencyAt({ points }: System, target: number, which: 'p50' | 'p99'): number | undefined {
  return interpolate(points, target, (point) => Math.log(point.ways.single?.[which] ?? NaN), Math.exp)
}

function interpolate(
  points: readonly Point[],
  target: number,
  read: (point: Point) => number,
  finish: (value: number) => number,
): number | undefined {
  const i = points.findIndex(({ recall }) => recall >= target)
  if (i < 0) return undefined
  const after = points[i]!
  const before = points[i - 1]
  if (before === undefined) return finish(read(after))
  const part = (target - before.recall) / (after.recall - before.recall)
  return finish(read(before) * (1 - part) + read(after) * part)
}
