// The figures behind the plots.
import { recall, whole } from '../compare/format.js'
import type { System } from '../compare/report.js'
import { SUMMARY } from '../compare/summary.js'
import { html, type Html } from './html.js'

/** Stands where nothing was measured. */
const MISSING = '–'

export function summaryTable(systems: readonly System[]): Html {
  const head = ['system', 'build, s', ...SUMMARY.map(({ title }) => title)]
  const rows = systems.map((system) => {
    const { build, name, version, ours, parameters } = system
    const cells = [build.seconds.toFixed(1), ...SUMMARY.map(({ read }) => read(system) ?? MISSING)]
    const set = Object.entries(parameters).map(([key, value]) => `${key} ${value}`)
    return html`<tr class="${ours ? 'ours' : 'peer'}">
      <td title="${set.join(', ')}">${name} ${version}</td>
      ${cells.map(cell)}
    </tr>`
  })
  return table(head, rows)
}

export function pointTable(systems: readonly System[]): Html {
  const head = [
    'system',
    'ef',
    'recall',
    'queries/s, a call each',
    'p50, µs',
    'p99, µs',
    'batch',
    '2 threads',
    'evaluations',
  ]
  const rows = systems.flatMap(({ name, points }) =>
    points.map(({ ef, recall: found, ways: { single, batch, batch2 }, evaluations }) => {
      const cells = [
        String(ef),
        recall(found),
        optional(single?.qps),
        optional(single?.p50),
        optional(single?.p99),
        optional(batch?.qps),
        optional(batch2?.qps),
        optional(evaluations ?? undefined),
      ]
      return html`<tr>
        <td>${name}</td>
        ${cells.map(cell)}
      </tr>`
    }),
  )
  return table(head, rows)
}

function table(head: readonly string[], rows: readonly Html[]): Html {
  const titles = head.map((title) => html`<th scope="col">${title}</th>`)
  return html`<table>
    <thead>
      <tr>
        ${titles}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`
}

function cell(text: string): Html {
  return html`<td>${text}</td>`
}

function optional(value: number | undefined): string {
  return value === undefined ? MISSING : whole(value)
}
