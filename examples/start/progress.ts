import cliProgress from 'cli-progress'
import type { VectorIndex } from 'vicinal'
import { count } from './report.js'

/**
 * Shows how many of `rows` vectors are in the graph: a bar on a terminal, a line every half second elsewhere.
 *
 * @returns what ends it
 */
export function showProgress(index: VectorIndex, rows: number): () => void {
  const bar = new cliProgress.SingleBar({
    format: 'in the graph {bar} {value} of {total}, {added} added',
    barsize: 40,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    stream: process.stdout,
    formatValue: (value) => count(value),
    noTTYOutput: true,
    notTTYSchedule: 500,
  })
  const update = (): void => bar.update(index.migration.migrated, { added: count(index.size) })
  bar.start(rows, 0, { added: count(index.size) })
  const timer = setInterval(update, 50)
  return () => {
    clearInterval(timer)
    update()
    bar.stop()
  }
}
