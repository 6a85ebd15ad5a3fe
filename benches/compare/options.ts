// What the command line asks for.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { here } from './programs.js'
import { exists, named, own, SAMPLE, type Source } from './sets.js'
import { SYSTEMS, type Spec } from './systems.js'

export const USAGE = `npm run bench                    vicinal alone: the sample set, and 200,000 rows of sift-photos-1m where there is one
npm run bench:peers              vicinal and peers: sift-photos-1m where there is one, the sample set elsewhere
  -- --set NAME                  sample, sift-photos-1m, minilm-384, gist-960 or deep-96 (stand-ins, made of sift-photos-1m)
     --base F --query F          your own: fvecs, bvecs, u8bin, fbin, f16bin, npy; or --base alone: HDF5 of ann-benchmarks
     [--truth F] [--metric M]    ibin with distances, computed if absent; l2 (default) or cosine
     --rows N                    only the first N rows
     --systems A,B               only these: ${SYSTEMS.map(({ id }) => id).join(', ')}
     --data DIR                  the folder that has the sets, ../shared/data unless given
     --out DIR                   where the JSON and the page go, benches/out unless given`

const SHORT_ROWS = 200_000

/** One set to measure, and how many of its rows at most. */
export interface Plan {
  source: Source
  limit: number
}

export interface Options {
  peers: boolean
  plans: Plan[]
  systems: Spec[]
  out: string
  /** What is left out, and why. */
  skipped: string[]
}

/** @returns undefined when only the usage is asked for */
export function parseOptions(args: readonly string[]): Options | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const options = { peers: flag, help: flag, set: text, base: text, query: text, truth: text, metric: text, rows: text }
  const { values } = parseArgs({ args: [...args], options: { ...options, systems: text, data: text, out: text } })
  if (values.help) return undefined
  const limit = values.rows === undefined ? Infinity : Number(values.rows)
  if (!(limit > 0)) throw new Error(`--rows ${values.rows}: expected a number`)
  const folder = values.data === undefined ? undefined : resolve(values.data)
  const sift = named('sift-photos-1m', folder)
  const skipped: string[] = []

  const plans = (): Plan[] => {
    if (values.base !== undefined) return [{ source: own({ ...values, base: values.base }), limit }]
    if (values.set !== undefined) return [{ source: named(values.set, folder), limit }]
    if (!exists(sift)) skipped.push(`${sift.name} is skipped: there is no ${sift.base}`)
    if (values.peers) return [{ source: exists(sift) ? sift : SAMPLE, limit }]
    const short = { source: sift, limit: Math.min(limit, SHORT_ROWS) }
    return [{ source: SAMPLE, limit }, ...(exists(sift) ? [short] : [])]
  }
  const out = values.out === undefined ? here('out') : resolve(values.out)
  return { peers: values.peers, plans: plans(), systems: systems(values), out, skipped }
}

function systems({ systems: wanted, peers }: { systems?: string | undefined; peers: boolean }): Spec[] {
  if (wanted === undefined) return SYSTEMS.filter(({ ours }) => peers || ours)
  return wanted.split(',').map((id) => {
    const spec = SYSTEMS.find((system) => system.id === id)
    if (spec === undefined) throw new Error(`--systems ${id}: expected some of ${SYSTEMS.map((s) => s.id).join(', ')}`)
    return spec
  })
}
