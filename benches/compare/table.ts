// What was measured, as Markdown.
import { buildRate, speedAt } from './curves.js'
import { figures, reached } from './figures.js'
import { recall, short, whole } from './format.js'
import type { Report, Run, System, Way } from './report.js'
import { SUMMARY } from './summary.js'

type Cell = string | number | undefined

const WAYS: Record<Way, string> = { single: 'a call each', batch: 'batch', batch2: 'batch, 2 threads' }

export function tables(report: Report): string {
  const { machine, project, runs } = report
  const commit = project.commit === null ? '' : ` (${project.commit}${project.dirty ? ' and changes' : ''})`
  const head = `vicinal ${project.version}${commit}; ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; load before the run ${machine.load.toFixed(2)}`
  return [head, ...runs.map(runTables)].join('\n\n')
}

function runTables(run: Run): string {
  const { data, missing } = run
  const parts = [
    `${whole(data.rows)} × ${data.dimensions} of ${data.name} (${data.element}, ${data.metric}), ${whole(data.queries)} queries`,
    summaryTable(run),
    ratioTable(run),
    searchTable(run),
    figureTable(run),
    missing.map(({ system, reason }) => `${system} is missing: ${reason}`).join('\n'),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** One line a system. */
function summaryTable({ systems }: Run): string {
  const head = ['system', 'rows', ...SUMMARY.map(({ title }) => title)]
  const body = systems.map((system) => [
    `${system.name} ${system.version}`,
    whole(system.rows),
    ...SUMMARY.map(({ read }) => read(system)),
  ])
  return markdown(head, body)
}

/** vicinal over each peer; more is better but for memory. */
function ratioTable({ systems }: Run): string {
  const peers = systems.filter(({ ours }) => !ours)
  if (peers.length === 0 || peers.length === systems.length) return ''
  const head = ['over', 'build, Rust', 'build, Node', 'queries/s at .95, Rust', 'at .99', 'memory, Node']
  const body = peers.map((peer) => {
    const ours = (id: string): System | undefined => systems.find((each) => each.id === id && each.rows === peer.rows)
    const over = (id: string, read: (system: System) => number | undefined): Cell =>
      ratio(optional(ours(id), read), read(peer))
    return [
      peer.name,
      over('vicinal-rust', buildRate),
      over('vicinal', buildRate),
      over('vicinal-rust', (system) => speedAt(system, 0.95)),
      over('vicinal-rust', (system) => speedAt(system, 0.99)),
      over('vicinal', (system) => system.build.restingBytes),
    ]
  })
  return `vicinal over each peer, with as many rows:\n\n${markdown(head, body)}`
}

/** Recall and queries a second of every system at every width. */
function searchTable({ systems }: Run): string {
  const efs = systems[0]?.points.map(({ ef }) => ef) ?? []
  const columns = systems.flatMap((system): [string, Cell[]][] => [
    [`${system.name}${few(system, systems)} recall`, system.points.map((point) => recall(point.recall))],
    ...Object.entries(WAYS).flatMap(([way, title]): [string, Cell[]][] => {
      const cells = system.points.map((point) => optional(point.ways[way as Way]?.qps, whole))
      return cells[0] === undefined ? [] : [[title, cells]]
    }),
  ])
  const head = ['ef', ...columns.map(([name]) => name)]
  const body = efs.map((ef, i) => [ef as Cell].concat(columns.map(([, cells]) => cells[i])))
  return `Queries a second, on one thread unless said otherwise:\n\n${markdown(head, body)}`
}

function few({ rows }: System, all: readonly System[]): string {
  return rows === Math.max(...all.map((system) => system.rows)) ? '' : ` (${whole(rows)} rows)`
}

/** The figures that the project holds itself to. */
function figureTable(run: Run): string {
  const head = ['what', 'vicinal', 'compared with', 'figure', 'at least', 'aim', 'reached']
  const body = figures(run).map((figure) => [
    figure.what,
    figure.ours,
    figure.other,
    figure.value.toFixed(figure.digits ?? 2),
    figure.least,
    figure.aim,
    reached(figure),
  ])
  return body.length === 0 ? '' : markdown(head, body)
}

function ratio(ours: number | undefined, theirs: number | undefined): Cell {
  return ours === undefined || theirs === undefined ? undefined : `${short(ours / theirs)} ×`
}

function optional<Value, Result>(value: Value | undefined, read: (value: Value) => Result): Result | undefined {
  return value === undefined ? undefined : read(value)
}

function markdown(head: readonly Cell[], body: readonly (readonly Cell[])[]): string {
  return [head, head.map(() => '---'), ...body]
    .map((cells) => `| ${cells.map((c) => c ?? '').join(' | ')} |`)
    .join('\n')
}
