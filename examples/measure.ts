import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The value that the share `p` (0 to 1) of all values does not exceed; NaN where there are none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? NaN
}

const RESOLUTION_MS = 1

/** How late the event loop ran, in milliseconds: what a timer or a request would have waited. */
export interface LoopDelay {
  p99: number
  max: number
}

/**
 * Watches the event loop until the returned function is called. A native timer is due every millisecond, and the
 * histogram holds the time between two of its firings; without its period that is the delay.
 */
export function watchEventLoop(): () => LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  const delay = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
  return () => {
    histogram.disable()
    return { p99: delay(histogram.percentile(99)), max: delay(histogram.max) }
  }
}

/** The seconds that this work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}
