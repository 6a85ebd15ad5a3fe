// What is told of each system first, in the report and on the page.
import { latencyAt, speedAt } from './curves.js'
import { megabytes, whole } from './format.js'
import type { System } from './report.js'

interface Column {
  title: string
  /** Undefined where the system was not measured there. */
  read(system: System): string | undefined
}

export const SUMMARY: readonly Column[] = [
  { title: 'vectors/s', read: ({ build }) => whole(build.vectorsPerSecond) },
  { title: 'MB', read: ({ build }) => megabytes(build.restingBytes) },
  { title: 'peak MB', read: ({ build }) => megabytes(build.peakBytes) },
  { title: 'queries/s at .95', read: (system) => rounded(speedAt(system, 0.95)) },
  { title: 'at .99', read: (system) => rounded(speedAt(system, 0.99)) },
  { title: 'p50 at .95, µs', read: (system) => rounded(latencyAt(system, 0.95, 'p50')) },
  { title: 'p99, µs', read: (system) => rounded(latencyAt(system, 0.95, 'p99')) },
]

function rounded(value: number | undefined): string | undefined {
  return value === undefined ? undefined : whole(value)
}
