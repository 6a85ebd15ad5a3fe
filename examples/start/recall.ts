import type { Metric } from 'vicinal'
import { FormatError, type Rows, type Truth, type VectorFile } from '../formats.js'
import type { Answer } from './queries.js'

/** The data that answers are judged by, read from the files and not from the index. */
export interface Judge {
  base: VectorFile
  queries: Rows
  metric: Metric
  truth: Truth | undefined
}

/** How many answers of a phase are judged where there is no truth: each of them costs a distance to every row. */
const SCANNED = 50

/**
 * Recall@k of answers given while rows kept coming in: a hit counts when it is no farther from the query than the k-th
 * nearest of the rows that were present when the query was asked. (Comparing distances rather than row numbers makes
 * ties and rows that came in a moment later count as what they are.)
 *
 * The k-th nearest is exact in both of its ways. The ground truth lists the nearest of all rows in order, so those of
 * them that were present are the nearest present ones, as far as they go. Where fewer than k of them were present, as
 * with few rows of a large file, a scan over the rows that were finds it.
 */
export async function recall(judge: Judge, given: readonly Answer[], k: number): Promise<number> {
  const answers = judge.truth === undefined ? thinned(given, SCANNED) : given
  const bounds = answers.map((answer) => kthOfTruth(judge, answer, k))
  const toScan = answers.filter((_, i) => bounds[i] === undefined)
  const scanned = new Map(toScan.map((answer) => [answer, [] as number[]]))
  await scan(judge, scanned, k)
  let found = 0
  let expected = 0
  for (const [i, answer] of answers.entries()) {
    const row = bounds[i]
    const bound = row === undefined ? scanned.get(answer)!.at(-1)! : await distanceOf(judge, answer.query, row)
    for (const id of answer.ids) if ((await distanceOf(judge, answer.query, id)) <= bound) found++
    expected += Math.min(k, answer.present)
  }
  return found / expected
}

/**
 * Checks that the truth belongs to these files and this metric.
 *
 * @throws FormatError when its queries or row numbers do not fit, or its first list is not nearest first
 */
export async function checkTruth(path: string, judge: Judge, truth: Truth): Promise<void> {
  const { base, queries, metric } = judge
  const count = queries.length / base.dimensions
  if (truth.n !== count) throw new FormatError(`${path}: truth of ${truth.n} queries, expected ${count}`)
  const wrong = truth.ids.findIndex((id) => id >= base.n)
  if (wrong >= 0) {
    throw new FormatError(`${path}: query ${Math.floor(wrong / truth.k)} has row ${truth.ids[wrong]} of ${base.n} rows`)
  }
  let previous = -Infinity
  for (const id of truth.ids.subarray(0, truth.k)) {
    const distance = await distanceOf(judge, 0, id)
    // The tool that made the truth may have computed in single precision.
    if (distance < previous - 1e-4 * Math.abs(previous) - 1e-6) {
      throw new FormatError(
        `${path}: rows of query 0 are not nearest first by ${metric}; is it of another metric or base?`,
      )
    }
    previous = distance
  }
}

/** About `count` of the answers, evenly spread. */
function thinned(answers: readonly Answer[], count: number): readonly Answer[] {
  const step = Math.ceil(answers.length / count)
  return answers.filter((_, i) => i % step === 0)
}

/** The row number of the k-th nearest row that was present, undefined where the truth does not reach so far. */
function kthOfTruth({ truth }: Judge, { query, present }: Answer, k: number): number | undefined {
  if (truth === undefined) return undefined
  const list = truth.ids.subarray(query * truth.k, (query + 1) * truth.k)
  return list.filter((id) => id < present)[k - 1]
}

/** Fills in, for every answer, the distances of the k nearest rows that were present, in one pass over the file. */
async function scan(judge: Judge, nearest: ReadonlyMap<Answer, number[]>, k: number): Promise<void> {
  const { base } = judge
  const block = 4096
  const end = Math.max(0, ...[...nearest.keys()].map(({ present }) => present))
  for (let first = 0; first < end; first += block) {
    const rows = await base.read(first, block)
    for (const [{ query, present }, list] of nearest) {
      const count = Math.min(rows.length / base.dimensions, present - first)
      for (let row = 0; row < count; row++) keepNearest(list, distanceBetween(judge, query, rows, row), k)
    }
  }
}

function keepNearest(list: number[], distance: number, k: number): void {
  if (list.length === k && distance >= list[k - 1]!) return
  let place = list.length
  while (place > 0 && list[place - 1]! > distance) place--
  list.splice(place, 0, distance)
  if (list.length > k) list.pop()
}

async function distanceOf(judge: Judge, query: number, row: number): Promise<number> {
  return distanceBetween(judge, query, await judge.base.read(row, 1), 0)
}

function distanceBetween(
  { queries, metric, base: { dimensions } }: Judge,
  query: number,
  rows: Rows,
  row: number,
): number {
  const from = row * dimensions
  const to = query * dimensions
  let dot = 0
  let rowNorm = 0
  let queryNorm = 0
  let squared = 0
  for (let i = 0; i < dimensions; i++) {
    const a = rows[from + i]!
    const b = queries[to + i]!
    dot += a * b
    rowNorm += a * a
    queryNorm += b * b
    squared += (a - b) * (a - b)
  }
  switch (metric) {
    case 'l2':
      return squared
    case 'ip':
      return -dot
    case 'cosine':
      return 1 - dot / Math.sqrt(rowNorm * queryNorm)
  }
}
