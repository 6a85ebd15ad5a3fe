import type { IndexStats } from 'vicinal'
import { percentile, type LoopDelay } from '../measure.js'
import { K, type Phase } from './queries.js'

/** How many rows something took, and how long. */
export interface Span {
  rows: number
  seconds: number
}

/** From the threshold to a graph, and on until all rows are in it. */
export interface Migration {
  first: Span
  rest: Span
}

export interface Figures {
  phases: readonly { phase: Phase; recall: number }[]
  added: Span
  /** Absent where the rows are too few for a graph. */
  migration: Migration | undefined
  eventLoop: LoopDelay
  /** In bytes; `rssBefore` is that of the process before the index was opened. */
  memory: { rssBefore: number; rssAfter: number; index: IndexStats['bytes'] }
}

export function report(figures: Figures): string {
  return `${phaseTable(figures)}

p50, p99: half and 99 % of the queries were answered within this time.
recall@${K}: the share of the ${K} nearest vectors present that a query found.

${notes(figures)}`
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function phaseTable({ phases }: Figures): string {
  const head = ['state of the index', 'rows', 'queries', 'p50 ms', 'p99 ms', `recall@${K}`]
  const body = phases.map(({ phase, recall }) => [
    phase.name,
    [...new Set(phase.rows)].map(count).join(' – '),
    count(phase.latencies.length),
    percentile(phase.latencies, 0.5).toFixed(2),
    percentile(phase.latencies, 0.99).toFixed(2),
    recall.toFixed(4),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column]!.length)))
  const line = (cells: string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('   ')
  return [line(head), widths.map((width) => '─'.repeat(width)).join('───'), ...body.map(line)].join('\n')
}

function notes({ added, migration, eventLoop, memory }: Figures): string {
  const { vectors, codes, links, ids, total } = memory.index
  const lines = [['Adding', `${rate(added)}, each vector findable as soon as its add has resolved`]]
  if (migration !== undefined) {
    const { first, rest } = migration
    lines.push([
      'Migration',
      `${first.seconds.toFixed(3)} s for the first ${count(first.rows)} vectors, beside the queries`,
    ])
    if (rest.rows > 0) lines.push(['', `${rate(rest)} into the graph after that, adding them included`])
  }
  const { max, p99 } = eventLoop
  lines.push(
    ['Event loop', `at most ${max.toFixed(1)} ms late (p99 ${p99.toFixed(1)}): what other work of this thread waited`],
    ['', 'measured by a timer due every millisecond'],
    [
      'Memory',
      `${mb(total)} in the index: vectors ${mb(vectors)}, codes ${mb(codes)}, links ${mb(links)}, ids ${mb(ids)}`,
    ],
    ['', `${mb(memory.rssAfter)} in the process (rss), of which ${mb(memory.rssBefore)} before the index was opened`],
  )
  return lines.map(([label, text]) => `${label!.padEnd(12)}${text}`).join('\n')
}

function rate({ rows, seconds }: Span): string {
  return `${count(rows / seconds)} vectors/s`
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
