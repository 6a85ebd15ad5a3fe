// Measures vicinal beside hnswlib and Faiss, in one run on the same data, and prints the figures with their ratios:
//
//   npm run build && node benches/setup-peers.mjs
//   node benches/compare.mjs [--base F --query F [--truth F] [--metric l2|cosine]] [--rows N]
//
// Vectors are u8bin, f16bin or fbin, truth is ibin with distances; without any the sample set of examples/data is used.
// With --rows only the first N rows count; their truth, and a truth that is not given, is computed and kept. All that
// was measured also goes into result.json in a folder of benches/out.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { buildAddon, countRows, node, python, root, runPython } from './compare/driver.mjs'
import { figureTable, searchTable } from './compare/table.mjs'

const EFS = [24, 32, 40, 48, 64, 80, 96, 120, 160, 200, 300, 400]
/** Where figures are taken. */
const FIGURE_EF = 64
const PASSES = 3
/** A graph begins there, so a comparison of graphs needs as many. */
const THRESHOLD = 5_000

const data = chooseData()
const machine = { cpu: cpus()[0].model, cores: cpus().length, node: process.version, load: loadavg()[0] }
const result = { machine, rows: data.rows, metric: data.metric, efs: EFS, ...(await measure()) }
writeFileSync(join(data.out, 'result.json'), JSON.stringify(result, null, 2))
console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; load before the run ${machine.load.toFixed(2)}
${data.rows} rows of ${data.base}, ${data.metric}

${searchTable(result)}

${figureTable(result)}

All of it: ${join(data.out, 'result.json')}`)

/** Which files, which rows of them, and the folder for what belongs to just these. */
function chooseData() {
  const text = { type: 'string' }
  const given = parseArgs({ options: { base: text, query: text, truth: text, metric: text, rows: text } }).values
  if ((given.base === undefined) !== (given.query === undefined)) throw new Error('expected both --base and --query')
  const base = resolve(given.base ?? join(root, 'examples/data/base.u8bin'))
  const query = resolve(given.query ?? join(root, 'examples/data/query.u8bin'))
  const metric = given.metric ?? 'l2'
  const all = countRows(base)
  const rows = Math.min(Number(given.rows ?? all), all)
  if (!(rows >= THRESHOLD)) throw new Error(`got ${rows} rows, expected at least ${THRESHOLD}`)
  const key = JSON.stringify([base, query, metric, rows])
  const out = join(root, 'benches/out', createHash('sha256').update(key).digest('hex').slice(0, 12))
  mkdirSync(out, { recursive: true })

  const common = ['--base', base, '--query', query, '--metric', metric, '--rows', String(rows)]
  let truth = join(out, 'truth.ibin')
  if (given.truth !== undefined && rows === all) truth = resolve(given.truth)
  else if (!existsSync(truth)) {
    progress('computing the truth')
    runPython('truth.py', [...common, '--out', truth])
  }
  return { base, metric, rows, out, args: [...common, '--truth', truth] }
}

async function measure() {
  progress('compiling the addon')
  buildAddon()
  const peers = [python('hnswlib', data.args), python('faiss', data.args)]
  const vicinal = node('vicinal', data.args)
  const graphs = [vicinal, ...peers]

  const builds = {}
  for (const driver of graphs) {
    progress(`${driver.name}: building`)
    builds[driver.name] = await driver.ask('build')
  }
  progress('vicinal: saving')
  await vicinal.ask(`save ${data.out}`)

  const recalls = await recallCurves(graphs)
  const searches = await searchCurves(graphs)
  await Promise.all(peers.map((driver) => driver.close()))
  progress('vicinal: searchSync beside Rust calls')
  const overhead = await vicinal.ask(`overhead ${FIGURE_EF}`)

  progress('vicinal: migrating while queried')
  const live = await vicinal.ask('live')
  await vicinal.close()
  return { builds, recalls, searches, overhead, live }
}

/** Recall of each library at each ef. */
async function recallCurves(drivers) {
  const recalls = {}
  for (const driver of drivers) {
    progress(`${driver.name}: recall`)
    recalls[driver.name] = []
    for (const ef of EFS) recalls[driver.name].push((await driver.ask(`recall ${ef}`)).recall)
  }
  return recalls
}

/**
 * Queries a second at each ef: the median of several passes, in each of which the libraries take turns, so that whatever
 * else the machine does meets them all.
 */
async function searchCurves(drivers) {
  const passes = drivers.map(() => EFS.map(() => []))
  for (let pass = 1; pass <= PASSES; pass++) {
    progress(`searching, pass ${pass} of ${PASSES}`)
    for (const [i, ef] of EFS.entries()) {
      for (const [d, driver] of drivers.entries()) passes[d][i].push(await driver.ask(`search ${ef}`))
    }
  }
  return Object.fromEntries(drivers.map(({ name }, d) => [name, curves(passes[d])]))
}

/** From the answers to every ef, pass by pass, to one curve for every way to search. */
function curves(answers) {
  const ways = ['rust', 'single', 'batch', 'batch2'].filter((way) => way in answers[0][0])
  return Object.fromEntries(ways.map((way) => [way, answers.map((passes) => median(passes.map((pass) => pass[way])))]))
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

function progress(what) {
  process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${what}\n`)
}
