// The sets that can be named, and a user's own files.
import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { DataInfo } from './report.js'
import { root } from './programs.js'

/** Files as somebody gave them, in any of the formats that `prepare.ts` reads. */
export interface Source {
  name: string
  about: string
  base: string
  /** Absent where the base has the queries too (HDF5). */
  query?: string | undefined
  truth?: string | undefined
  metric: DataInfo['metric']
  /** To be made of the files by `data/standins.py` first. */
  standIn?: 'gist-960' | 'deep-96'
}

export const SAMPLE: Source = {
  name: 'sample',
  about: 'SIFT descriptors of photographs, the set of examples/data',
  ...files(join(root, 'examples', 'data'), 'u8bin'),
  metric: 'l2',
}

/** Larger sets, in a folder beside the repository unless `--data` names another. */
export function named(name: string, folder = join(root, '..', 'shared', 'data')): Source {
  const sift: Source = {
    name: 'sift-photos-1m',
    about: 'SIFT descriptors of photographs',
    ...files(join(folder, 'sift-photos-1m'), 'u8bin'),
    metric: 'l2',
  }
  const make: Record<string, () => Source> = {
    sample: () => SAMPLE,
    'sift-photos-1m': () => sift,
    'minilm-384': () => ({
      name,
      about: 'embeddings of sentences by all-MiniLM-L6-v2',
      ...files(join(folder, 'minilm-384'), 'f16bin'),
      metric: 'cosine',
    }),
    'gist-960': () => ({
      ...descriptors(),
      name,
      about: 'a stand-in for GIST1M, made of SIFT descriptors: two of them, turned into 960 dimensions, and noise',
      standIn: 'gist-960',
    }),
    'deep-96': () => ({
      ...descriptors(),
      name,
      about: 'a stand-in for Deep1B, made of SIFT descriptors: turned into 96 dimensions, and noise',
      standIn: 'deep-96',
    }),
  }
  const descriptors = (): Source => (existsSync(sift.base) ? sift : SAMPLE)
  const source = make[name]?.()
  if (source === undefined) throw new Error(`--set ${name}: expected one of ${Object.keys(make).join(', ')}`)
  return source
}

export function exists({ base }: Source): boolean {
  return existsSync(base)
}

/** Somebody's own files. */
export function own(given: { base: string; query?: string; truth?: string; metric?: string }): Source {
  const { metric = 'l2' } = given
  if (metric !== 'l2' && metric !== 'cosine') throw new Error(`--metric ${metric}: expected l2 or cosine`)
  return {
    name: basename(given.base).replace(/\.\w+$/, ''),
    about: basename(given.base),
    base: resolve(given.base),
    query: given.query === undefined ? undefined : resolve(given.query),
    truth: given.truth === undefined ? undefined : resolve(given.truth),
    metric,
  }
}

function files(folder: string, extension: string): Pick<Source, 'base' | 'query' | 'truth'> {
  return {
    base: join(folder, `base.${extension}`),
    query: join(folder, `query.${extension}`),
    truth: join(folder, 'groundtruth.k100.ibin'),
  }
}
