// The plots of systems that were given the same rows.
import * as Plot from '@observablehq/plot'
import { latencyAt } from '../compare/curves.js'
import { megabytes, recall, whole } from '../compare/format.js'
import type { Point, System } from '../compare/report.js'
import { color, symbol } from './look.js'
import { logAxis, MOST, nines, recallAxis, svg } from './plot.js'

type Chart = (systems: readonly System[], width: number) => string

/** What is shown of a system at one width of its searches. */
interface Shown {
  system: System
  point: Point
  recall: number
  speed: number
}

/** Up and to the right is better. */
export const speedChart: Chart = (systems, width) => {
  const shown = systems.flatMap(shownPoints)
  const x = recallAxis(shown.map(({ point }) => point.recall))
  const y = logAxis(shown.map(({ speed }) => 10 ** speed))
  return svg({
    width,
    height: width < 500 ? 340 : 440,
    ...MARGINS,
    ariaLabel: 'Recall against queries a second',
    x: { ...x, label: 'recall@10 →' },
    y: { ...y, label: '↑ queries/s' },
    marks: [
      Plot.gridX({ ticks: x.ticks, strokeOpacity: GRID }),
      Plot.gridY({ ticks: y.ticks, strokeOpacity: GRID }),
      Plot.line(shown, {
        x: 'recall',
        y: 'speed',
        z: ({ system }: Shown) => system.id,
        stroke: colorOf,
        strokeWidth: ({ system }: Shown) => (system.ours ? 2.6 : 1.5),
      }),
      Plot.dot(shown, {
        x: 'recall',
        y: 'speed',
        fill: colorOf,
        symbol: ({ system }: Shown) => symbol(system),
        r: 3.6,
        title: ({ system, point, speed }: Shown) =>
          `${system.name}, ef ${point.ef}\nrecall ${recall(point.recall)}, ${whole(10 ** speed)} queries/s`,
      }),
    ],
    ...AS_THEY_ARE,
  })
}

/** What the dot of the next chart stands for. */
export const BUILD_EF = 64

/** Up and to the left is better. */
export const buildChart: Chart = (systems, width) => {
  const spans = systems.map((system) => {
    const recalls = system.points.filter(({ ef }) => ef <= 200).map((point) => point.recall)
    const [low, high] = [Math.min(...recalls), Math.max(...recalls)]
    const at = system.points.find(({ ef }) => ef === BUILD_EF)?.recall ?? NaN
    return { system, seconds: Math.log10(system.build.seconds), low, high, at }
  })
  type Span = (typeof spans)[number]
  const x = logAxis(systems.map(({ build }) => build.seconds))
  const y = recallAxis(spans.flatMap(({ low, high }) => [low, high]))
  return svg({
    width,
    height: 320,
    ...MARGINS,
    ariaLabel: 'Build time against recall',
    x: { ...x, label: 'seconds to build →' },
    y: { ...y, label: '↑ recall@10' },
    marks: [
      Plot.gridX({ ticks: x.ticks, strokeOpacity: GRID }),
      Plot.gridY({ ticks: y.ticks, strokeOpacity: GRID }),
      Plot.ruleX(spans, {
        x: 'seconds',
        y1: ({ low }: Span) => nines(low),
        y2: ({ high }: Span) => nines(high),
        stroke: colorOf,
        strokeWidth: ({ system }: Span) => (system.ours ? 3 : 2),
        strokeOpacity: 0.55,
        strokeLinecap: 'round',
      }),
      Plot.dot(spans, {
        x: 'seconds',
        y: ({ at }: Span) => nines(at),
        fill: colorOf,
        symbol: ({ system }: Span) => symbol(system),
        r: 5,
        title: ({ system: { name, build }, at }: Span) =>
          `${name}: ${build.seconds.toFixed(1)} s, ${whole(build.vectorsPerSecond)} vectors/s\nrecall ${recall(at)} at ef ${BUILD_EF}`,
      }),
    ],
    ...AS_THEY_ARE,
  })
}

/** A bar is what is held at rest, its thin end what building takes at most. */
export const memoryChart: Chart = (systems, width) => {
  const bars = systems.map((system) => {
    const { restingBytes, peakBytes } = system.build
    return {
      system,
      name: system.name,
      resting: restingBytes / 1e6,
      peak: Math.max(restingBytes, peakBytes ?? 0) / 1e6,
    }
  })
  type Bar = (typeof bars)[number]
  return svg({
    ...rowsOf(systems, width),
    ariaLabel: 'Memory',
    x: {
      label: 'MB →',
      nice: true,
      ticks: 4,
      tickFormat: whole,
      domain: [0, Math.max(...bars.map(({ peak }) => peak)) * 1.15],
    },
    marks: [
      Plot.gridX({ ticks: 4, strokeOpacity: GRID }),
      Plot.barX(bars, { y: 'name', x: 'peak', fill: colorOf, fillOpacity: 0.3, insetTop: 7, insetBottom: 7 }),
      Plot.barX(bars, {
        y: 'name',
        x: 'resting',
        fill: colorOf,
        insetTop: 3,
        insetBottom: 3,
        title: ({ system }: Bar) =>
          `${system.name}: ${megabytes(system.build.restingBytes)} MB, ${megabytes(system.build.peakBytes)} MB at most`,
      }),
      Plot.text(bars, { y: 'name', x: 'peak', text: ({ resting }: Bar) => whole(resting), textAnchor: 'start', dx: 6 }),
    ],
    ...AS_THEY_ARE,
  })
}

/** What the latencies of the next chart are taken at. */
export const LATENCY_RECALL = 0.95

/** From the median to the 99th percentile. */
export const latencyChart: Chart = (systems, width) => {
  const spans = systems.flatMap((system) => {
    const [p50, p99] = (['p50', 'p99'] as const).map((which) => latencyAt(system, LATENCY_RECALL, which))
    return p50 === undefined || p99 === undefined ? [] : [{ system, name: system.name, p50, p99 }]
  })
  type Span = (typeof spans)[number]
  const x = logAxis(spans.flatMap(({ p50, p99 }) => [p50, p99]))
  return svg({
    ...rowsOf(systems, width),
    ariaLabel: 'Latency of a query',
    x: { ...x, label: 'µs →' },
    marks: [
      Plot.gridX({ ticks: x.ticks, strokeOpacity: GRID }),
      Plot.ruleY(spans, {
        y: 'name',
        x1: log('p50'),
        x2: log('p99'),
        stroke: colorOf,
        strokeWidth: 3,
        strokeOpacity: 0.5,
      }),
      Plot.dot(spans, {
        y: 'name',
        x: log('p50'),
        r: 5,
        fill: colorOf,
        title: ({ name, p50, p99 }: Span) => `${name}: median ${whole(p50)} µs, 99 % within ${whole(p99)} µs`,
      }),
      Plot.dot(spans, { y: 'name', x: log('p99'), r: 4.5, fill: 'var(--card)', stroke: colorOf, strokeWidth: 2 }),
    ],
    ...AS_THEY_ARE,
  })
}

const MARGINS = { marginLeft: 44, marginRight: 16, marginBottom: 42 }
const GRID = 0.12
/** Colors and symbols are what they say, rather than categories to find some for. */
const AS_THEY_ARE = { color: { type: 'identity' }, symbol: { type: 'identity' } } as const

function colorOf({ system }: { system: System }): string {
  return color(system)
}

function log<Field extends string>(field: Field) {
  return (row: Record<Field, number>): number => Math.log10(row[field])
}

/** The frame of a plot with one row a system. */
function rowsOf(systems: readonly System[], width: number) {
  const names = systems.map(({ name }) => name)
  return {
    width,
    height: 74 + 27 * systems.length,
    marginLeft: 12 + 7 * Math.max(...names.map((name) => name.length)),
    marginRight: 24,
    marginBottom: 42,
    y: { label: null, domain: names, tickSize: 0, padding: 0.1 },
  }
}

/** Up to the first point where nothing is missing: beyond, speed is given away for nothing. */
function shownPoints(system: System): Shown[] {
  const { points, way } = system
  const full = points.findIndex((point) => point.recall >= MOST)
  return points.slice(0, full < 0 ? points.length : full + 1).flatMap((point) => {
    const speed = point.ways[way]
    return speed === undefined ? [] : [{ system, point, recall: nines(point.recall), speed: Math.log10(speed.qps) }]
  })
}
