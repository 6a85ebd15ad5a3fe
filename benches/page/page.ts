// A report as one page that needs nothing else: no script, no other file.
import { readFileSync } from 'node:fs'
import { whole } from '../compare/format.js'
import type { Report, Run, System } from '../compare/report.js'
import { BUILD_EF, buildChart, LATENCY_RECALL, latencyChart, memoryChart, speedChart } from './charts.js'
import { figure, html, legend, type Html } from './html.js'
import { variables } from './look.js'
import { pointTable, summaryTable } from './tables.js'
import { WIDTHS } from './plot.js'
import { timelineChart } from './timeline.js'
import { tiles } from './tiles.js'

export function page(report: Report): string {
  const { machine, project, date, runs, settings, skipped } = report
  const peers = runs.some(({ systems }) => systems.some(({ ours }) => !ours))
  const commit = project.commit === null ? '' : ` (${project.commit}${project.dirty ? ' and changes' : ''})`
  const memory = `${Math.round(machine.memoryBytes / 2 ** 30)} GiB`
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>vicinal: ${peers ? 'the comparison' : 'the benchmark'}</title>
        <style>
          ${css()}
        </style>
      </head>
      <body>
        <main>
          <h1>vicinal ${peers ? 'beside its peers' : 'measured'}</h1>
          <p class="quiet">
            Version ${project.version}${commit}, ${date.slice(0, 10)}. ${machine.cpu}, ${machine.cores} cores,
            ${memory}; ${machine.system}, Node ${machine.node}. Load before the run ${machine.load.toFixed(2)}.
          </p>
          ${runs.map(section)}
          <h2>How it was measured</h2>
          <p class="quiet">
            All systems of a section ran on this machine in this run. They built one after the other, with
            ${settings.buildThreads} threads, and then took turns to search, width by width and pass by pass, on
            ${settings.searchThreads} thread; figures are medians of ${settings.passes} passes over at most
            ${whole(settings.timedQueries)} queries. recall@${settings.k} counts the rows found that are no farther than
            the true ${settings.k}th, over all queries. Memory is what a process holds after building, and at most
            meanwhile, less what it held before with the rows in memory. Latencies are of calls one at a time and
            include what the language that calls adds. Points can be touched for their figures.
          </p>
          ${skipped.map((note) => html`<p class="quiet">${note}</p>`)}
          <p class="quiet">Made by <code>${report.command}</code>.</p>
        </main>
      </body>
    </html> `.text
}

/** A set: the systems that were given all of its rows, and then those that were given fewer. */
function section({ data, systems, missing, live }: Run): Html {
  const counts = [...new Set(systems.map(({ rows }) => rows))].sort((a, b) => b - a)
  return html` <h2>${whole(data.rows)} × ${data.dimensions}, ${data.name}</h2>
    <p class="quiet">
      ${sentence(data.about)} ${whole(data.queries)} queries, ${METRICS[data.metric]}, stored as ${data.element}.
    </p>
    ${missing.map(({ system, reason }) => html`<p class="quiet"><b>${system} is missing:</b> ${reason}</p>`)}
    ${counts.map((rows) => {
      const those = systems.filter((system) => system.rows === rows)
      const title =
        rows === data.rows
          ? html``
          : html`<h2>The first ${whole(rows)} rows of ${data.name}</h2>
              <p class="quiet">For systems that would take too long with more.</p>`
      return html`${title}${tiles(those)}
        <div class="grid">${charts(those)}${rows === data.rows ? liveChart(live) : html``} ${tables(those)}</div>`
    })}`
}

const METRICS = { l2: 'Euclidean distance', cosine: 'cosine distance' }

function charts(systems: readonly System[]): Html {
  const both =
    (chart: typeof speedChart, wide = WIDTHS.wide) =>
    (width: 'narrow' | 'wide') =>
      chart(systems, width === 'narrow' ? WIDTHS.narrow : wide)
  const keys = legend(systems)
  const named = (single: boolean): string =>
    systems
      .filter(({ way }) => (way === 'single') === single)
      .map(({ name }) => name)
      .join(', ')
  const batches = named(false) === '' ? '' : `; all in one call: ${named(false)}`
  return html` ${figure(
    'Speed at a recall',
    html`Up and to the right is better. One thread. A call a query: ${named(true)}${batches}.`,
    both(speedChart, WIDTHS.full),
    {
      full: true,
      keys,
    },
  )}
  ${figure('Build time and recall', html`Up and to the left is better. From ef 24 to 200; the mark is ef ${BUILD_EF}.`, both(buildChart), { keys })}
  ${figure('Memory', html`At rest after building (the number), and at most while it built (pale).`, both(memoryChart))}
  ${figure('Latency of a call', html`Median (full) and 99th percentile (hollow) where recall is ${LATENCY_RECALL}.`, both(latencyChart))}`
}

function liveChart(live: Run['live']): Html {
  if (live === null) return html``
  const { migration, latency, timeline } = live
  const draw = (width: 'narrow' | 'wide'): string =>
    timelineChart(timeline, width === 'narrow' ? WIDTHS.narrow : WIDTHS.wide)
  const { rows, migrated } = timeline
  const cut = migrated < rows ? ` Cut off when ${whole(migrated)} were in the graph.` : ''
  const caption = html`A query every millisecond while ${whole(rows)} rows come in, 1,000 an awaited call.${cut} The
  first ${whole(migration.rows)} rows migrate in ${(migration.median * 1000).toFixed(0)} ms; 99 % of the queries
  meanwhile are answered within ${latency.migrating.p99.toFixed(2)} ms, without a migration within
  ${Math.max(latency.exact.p99, latency.graph.p99).toFixed(2)} ms.`
  const keys = html`<ul class="legend">
    <li style="color: var(--accent)">median</li>
    <li style="color: var(--late)">99 %</li>
    <li class="quiet">· longest</li>
  </ul>`
  return figure('Queries while it migrates', caption, draw, { keys })
}

function tables(systems: readonly System[]): Html {
  return html`<div class="card full">
    <h3>In figures</h3>
    <div class="scroll">${summaryTable(systems)}</div>
    <details>
      <summary class="quiet">Every point</summary>
      <div class="scroll">${pointTable(systems)}</div>
    </details>
  </div>`
}

function css(): string {
  const style = readFileSync(new URL('style.css', import.meta.url), 'utf8')
  return `${style}
:root { ${variables('light')} }
@media (prefers-color-scheme: dark) { :root { ${variables('dark')} } }`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
