// How long queries take while rows stream in and migrate.
import * as Plot from '@observablehq/plot'
import type { Slice, Timeline } from '../compare/report.js'
import { logAxis, svg } from './plot.js'

const PHASES: Record<Timeline['phases'][number]['name'], string> = {
  exact: 'exact',
  adding: 'rows come in',
  migrating: 'migrating',
  graph: 'graph',
}

export function timelineChart({ phases, slices }: Timeline, width: number): string {
  const end = slices.at(-1)?.second ?? 0
  const spans = phases.map(({ name, from }, i) => ({ name: PHASES[name], from, to: phases[i + 1]?.from ?? end, i }))
  type Span = (typeof spans)[number]
  const y = logAxis(slices.flatMap(({ p50, max }) => [p50, max]))
  const [low, high] = y.domain
  const line = (field: 'p50' | 'p99', stroke: string, strokeWidth: number) =>
    Plot.line(slices, { x: 'second', y: (slice: Slice) => Math.log10(slice[field]), stroke, strokeWidth })
  return svg({
    width,
    height: width < 500 ? 280 : 320,
    marginLeft: 44,
    marginRight: 16,
    marginBottom: 42,
    ariaLabel: 'Latency of queries over time',
    x: { label: 'seconds →', domain: [0, end] },
    y: { ...y, label: '↑ milliseconds' },
    marks: [
      Plot.rect(spans, { x1: 'from', x2: 'to', y1: low, y2: high, fill: 'currentColor', fillOpacity: shade }),
      Plot.gridY({ ticks: y.ticks, strokeOpacity: 0.12 }),
      Plot.text(
        spans.filter((span) => (span.to - span.from) / end > 0.06),
        {
          x: ({ from, to }: Span) => (from + to) / 2,
          frameAnchor: 'top',
          text: 'name',
          dy: 6,
          fillOpacity: 0.65,
        },
      ),
      Plot.dot(slices, {
        x: 'second',
        y: ({ max }: Slice) => Math.log10(max),
        r: 1.8,
        fill: 'currentColor',
        fillOpacity: 0.35,
        title: ({ second, queries, p50, p99, max }: Slice) =>
          `from second ${second.toFixed(1)}, ${queries} queries\nmedian ${p50.toFixed(2)} ms, 99 % within ${p99.toFixed(2)}, longest ${max.toFixed(1)}`,
      }),
      line('p99', 'var(--late)', 1.8),
      line('p50', 'var(--accent)', 2.4),
    ],
    opacity: { type: 'identity' },
  })
}

const shade = ({ i }: { i: number }): number => (i % 2 === 0 ? 0 : 0.05)
