import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Metric } from 'vicinal'

export interface Options {
  base: string
  query: string
  /** Without it every recall is computed by brute force. */
  truth: string | undefined
  metric: Metric
}

/** A mistake of the person at the command line, told without a stack trace. */
export class UsageError extends Error {}

export const USAGE = `npm start                                     the sample set of this repository
npm start -- --base F --query F [--truth F]   your own files
             [--metric l2|cosine|ip]          l2 unless given

Vectors: u8bin, fbin, f16bin, fvecs, bvecs or npy. Truth: ibin or ivecs, row numbers of the base, nearest first.`

const METRICS: readonly string[] = ['l2', 'cosine', 'ip'] satisfies Metric[]

/** @returns undefined when only the usage is asked for */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { base, query, truth, metric = 'l2', help } = parse(args)
  if (help === true) return undefined
  if (!METRICS.includes(metric)) throw new UsageError(`--metric ${metric}: expected one of ${METRICS.join(', ')}`)
  if (base === undefined && query === undefined && truth === undefined) {
    // The truth of the sample is that of l2.
    return { ...SAMPLE, truth: metric === 'l2' ? SAMPLE.truth : undefined, metric: metric as Metric }
  }
  if (base === undefined || query === undefined) throw new UsageError('expected both --base and --query')
  return { base, query, truth, metric: metric as Metric }
}

const SAMPLE = {
  base: dataFile('base.u8bin'),
  query: dataFile('query.u8bin'),
  truth: dataFile('groundtruth.k100.ibin'),
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const options = {
      base: text,
      query: text,
      truth: text,
      metric: text,
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function dataFile(name: string): string {
  return fileURLToPath(new URL(`../data/${name}`, import.meta.url))
}
