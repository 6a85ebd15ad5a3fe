// Makes of any source what all the programs read: vectors as u8bin, f16bin or fbin, truth as ibin with distances.
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { readTruth, VectorFile } from '../../examples/formats.js'
import { keptFile, keptFolder } from './kept.js'
import { here, runNode, runPython } from './programs.js'
import type { DataInfo } from './report.js'
import type { Source } from './sets.js'

/** A graph begins there, so a comparison of graphs needs as many. */
const LEAST_ROWS = 5_000
const ELEMENTS: Record<string, string> = { '.u8bin': 'u8', '.f16bin': 'f16', '.fbin': 'f32' }

/** One set, ready to be measured. */
export interface Input {
  info: DataInfo
  /** What the programs are told to measure the first `rows`; makes their truth if it is not there yet. */
  programArguments: (rows: number) => string[]
}

/** @param limit take only the first so many rows */
export async function prepare(source: Source, limit = Infinity): Promise<Input> {
  const { base, query, truth, metric } = await inBins(standIn(source, limit))
  if (query === undefined) throw new Error('expected both --base and --query')
  const stored = await shape(base)
  const { rows: queries, dimensions } = await shape(query)
  const rows = Math.min(limit, stored.rows)
  if (!(rows >= LEAST_ROWS)) throw new Error(`got ${rows} rows, expected at least ${LEAST_ROWS}`)
  if (dimensions !== stored.dimensions) {
    throw new Error(`queries have ${dimensions} dimensions, expected ${stored.dimensions} as in the base`)
  }
  const given = truth !== undefined && (await readTruth(truth)).distances !== undefined ? truth : undefined
  const programArguments = (count: number): string[] => {
    const vectors = ['--base', base, '--query', query, '--metric', metric, '--rows', String(count)]
    const exact = count === stored.rows && given ? given : computedTruth(vectors, [base, query])
    return [...vectors, '--truth', exact]
  }
  const element = ELEMENTS[extname(base)] ?? ''
  const info = { name: source.name, about: source.about, rows, queries, dimensions, metric, element }
  return { info, programArguments }
}

function computedTruth(vectors: string[], inputs: string[]): string {
  return keptFile('truth.ibin', `the truth of ${vectors.at(-1)} rows`, vectors, inputs, (out) =>
    runNode(here('data', 'truth.ts'), [...vectors, '--out', out]),
  )
}

/** The files themselves, or the stand-in that is made of them. */
function standIn(source: Source, limit: number): Source {
  const { standIn: kind, base, query } = source
  if (kind === undefined || query === undefined) return source
  const rows = String(Number.isFinite(limit) ? limit : 1_000_000)
  const folder = keptFolder(`${rows} rows of ${kind}`, [kind, rows], [base, query], (out) =>
    runPython(here('data', 'standins.py'), [kind, '--base', base, '--query', query, '--rows', rows, '--out', out]),
  )
  return { ...source, base: join(folder, 'base.f16bin'), query: join(folder, 'query.f16bin'), truth: undefined }
}

async function inBins(source: Source): Promise<Source> {
  if (/\.(hdf5|h5)$/i.test(source.base)) return fromHdf5(source)
  const base = await inBin(source.base)
  return { ...source, base, query: source.query && (await inBin(source.query)) }
}

function fromHdf5(source: Source): Source {
  const folder = keptFolder(`vectors of ${source.base}`, 'hdf5', [source.base], (out) =>
    runPython(here('data', 'hdf5.py'), [source.base, out]),
  )
  const { metric } = JSON.parse(readFileSync(join(folder, 'set.json'), 'utf8')) as Pick<DataInfo, 'metric'>
  const [base = '', query, truth] = ['base.fbin', 'query.fbin', 'groundtruth.ibin'].map((name) => join(folder, name))
  return { ...source, base, query, truth, metric }
}

/** fvecs, bvecs and npy as u8bin or fbin; the bin formats stay as they are. */
async function inBin(path: string): Promise<string> {
  if (extname(path) in ELEMENTS) return path
  const file = await VectorFile.open(path)
  await file.close()
  const name = file.layout.element === 'u1' ? 'vectors.u8bin' : 'vectors.fbin'
  return keptFile(name, `a bin file of ${path}`, 'bin', [path], (out) =>
    runNode(here('data', 'convert.ts'), [path, out]),
  )
}

async function shape(path: string): Promise<{ rows: number; dimensions: number }> {
  const file = await VectorFile.open(path)
  await file.close()
  return { rows: file.n, dimensions: file.dimensions }
}
