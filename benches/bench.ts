// Measures vicinal, with `--peers` beside its peers, prints what came out and writes it as JSON and as a page.
// benches/README.md says more.
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describeMachine, describeProject } from './compare/machine.js'
import { measure } from './compare/measure.js'
import { parseOptions, USAGE, type Options } from './compare/options.js'
import { prepare } from './compare/prepare.js'
import { buildAddon, buildDriver } from './compare/programs.js'
import { progress } from './compare/progress.js'
import { SCHEMA, type Report, type Run, type Settings } from './compare/report.js'
import { setUpPeers, whyMissing } from './compare/peers.js'
import { tables } from './compare/table.js'
import { writePage } from './page/write.js'

const SETTINGS: Settings = {
  k: 10,
  efs: [24, 32, 40, 48, 64, 80, 96, 120, 160, 200, 300, 400],
  passes: 3,
  timedQueries: 2_000,
  buildThreads: 2,
  searchThreads: 1,
}

async function main(options: Options): Promise<void> {
  const { peers, plans, systems, out, skipped } = options
  for (const note of skipped) progress(note)
  const about = { date: new Date().toISOString(), project: describeProject(), machine: describeMachine() }
  if (peers) setUpPeers()
  progress('compiling the addon')
  buildAddon()
  progress('compiling the Rust program')
  // With the peers wherever they are, so that it is not compiled again and again.
  buildDriver(whyMissing('hnsw_rs') === undefined)
  const runs: Run[] = []
  for (const { source, limit } of plans) {
    progress(`${source.name}: preparing`)
    const input = await prepare(source, limit)
    runs.push(await measure(input, systems, SETTINGS))
  }
  const script = peers ? 'bench:peers' : 'bench'
  const args = process.argv.slice(2).filter((arg) => arg !== '--peers')
  // Reports are read elsewhere, so folders do not matter.
  const command = ['npm run', script, ...(args.length > 0 ? ['--', ...args.map((arg) => basename(arg))] : [])].join(' ')
  const report: Report = { schema: SCHEMA, command, ...about, settings: SETTINGS, skipped, runs }
  console.log(tables(report))

  mkdirSync(out, { recursive: true })
  const names = runs.map(({ data }) => `${data.name}-${data.rows}`)
  const file = join(out, `${[peers ? 'peers' : 'vicinal', ...names].join('-')}.json`)
  writeFileSync(file, JSON.stringify(report, null, 1) + '\n')
  console.log(`\nAll of it: ${file}\nThe page:  ${writePage(file)}`)
}

const options = parseOptions(process.argv.slice(2))
if (options === undefined) console.log(USAGE)
else await main(options)
