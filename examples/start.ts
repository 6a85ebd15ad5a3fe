// The main job of `npm start`: an index that answers queries all the while vectors stream in, first exactly, then from
// a graph that it builds in the background once there are enough of them.
import { VectorIndex } from 'vicinal'
import { FormatError, readTruth, readVectors, VectorFile } from './formats.js'
import { timed, watchEventLoop } from './measure.js'
import { BLOCK, Feed } from './start/feed.js'
import { parseOptions, USAGE, UsageError, type Options } from './start/options.js'
import { showProgress } from './start/progress.js'
import { K, QueryLoop } from './start/queries.js'
import { checkTruth, recall, type Judge } from './start/recall.js'
import { count, report, type Migration } from './start/report.js'

/** The index's default: with so many rows it begins to build its graph. */
const THRESHOLD = 5_000
/** Queries measured before and after the migration, about one a millisecond. */
const IDLE_QUERIES = 1_000

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) console.log(USAGE)
  else await run(options)
} catch (error) {
  if (!isMistake(error)) throw error
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error.message)
  // Not an exit code alone: queries and adding may still be under way.
  process.exit(1)
}

async function run(options: Options): Promise<void> {
  const judge = await openFiles(options)
  const { base, queries, metric } = judge
  console.log(`${count(base.n)} vectors of ${base.dimensions} dimensions, ${metric}; ${count(queries.length / base.dimensions)} queries
Vectors are added ${BLOCK} at a time, while queries for the ${K} nearest go on, one about every millisecond.
`)

  const rssBefore = process.memoryUsage.rss()
  const index = new VectorIndex({ dimensions: base.dimensions, metric })
  const feed = new Feed(index, base)
  const loop = new QueryLoop(index, queries, feed)
  const unwatch = watchEventLoop()

  console.log(`Up to ${count(THRESHOLD)} vectors every query is answered exactly, by comparing with all of them.`)
  await feed.addUntil(base.n < THRESHOLD ? base.n : THRESHOLD - BLOCK)
  const phases = [await loop.idle('exact', IDLE_QUERIES)]
  let migration: Migration | undefined
  if (base.n < THRESHOLD) {
    console.log(`There are only ${count(base.n)}, so there is no graph to build.`)
  } else {
    console.log('From there on vectors move into a graph in the background, and queries search both parts.\n')
    const stopShowing = showProgress(index, base.n)
    const migrating = await loop.during('migrating', async () => {
      migration = await migrate(index, feed, base.n)
    })
    stopShowing()
    phases.push(migrating, await loop.idle('graph', IDLE_QUERIES))
  }

  const memory = { rssBefore, rssAfter: process.memoryUsage.rss(), index: index.stats().bytes }
  const eventLoop = unwatch()
  await index.close()
  console.log('\nComparing the answers with the truth.')
  const judged = []
  for (const phase of phases) judged.push({ phase, recall: await recall(judge, phase.answers, K) })
  await base.close()
  console.log(`\n${report({ phases: judged, added: feed, migration, eventLoop, memory })}`)
}

/** Crosses the threshold and waits for the migration that this starts; then adds the rest, and waits again. */
async function migrate(index: VectorIndex, feed: Feed, rows: number): Promise<Migration> {
  const until = (end: number): Promise<number> =>
    timed(async () => {
      await feed.addUntil(end)
      await index.migrate()
    })
  const first = { rows: THRESHOLD, seconds: await until(THRESHOLD) }
  return { first, rest: { rows: rows - THRESHOLD, seconds: await until(rows) } }
}

async function openFiles({ base: basePath, query, truth: truthPath, metric }: Options): Promise<Judge> {
  const base = await VectorFile.open(basePath)
  const { rows: queries, dimensions } = await readVectors(query)
  if (dimensions !== base.dimensions) {
    throw new FormatError(
      `${query}: vectors of ${dimensions} dimensions, expected ${base.dimensions} as in ${basePath}`,
    )
  }
  const judge = { base, queries, metric, truth: truthPath === undefined ? undefined : await readTruth(truthPath) }
  if (judge.truth !== undefined) await checkTruth(truthPath!, judge, judge.truth)
  return judge
}

/** Wrong arguments, unreadable files, vectors that the index refuses: the message says it all. */
function isMistake(error: unknown): error is Error {
  return error instanceof Error && (error instanceof UsageError || error instanceof FormatError || 'code' in error)
}
