// Which systems there are to measure, and the program that measures each.
import type { DataInfo, Way } from './report.js'
import { driverBinary, here, interpreter, register } from './programs.js'

export interface Spec {
  id: string
  name: string
  ours: boolean
  /** See `System.way`: a batch where a call each would measure the language that calls. */
  way: Way
  /** The only elements of a set that it can keep. */
  element?: string
  /** The most rows that it is given. */
  mostRows?: number
  program: (id: string) => [command: string, ...args: string[]]
}

/** The index whose rows were all inserted, where by default the graph is built of all of them at once. */
export const INSERTED = 'vicinal-inserted'

const fromNode = (file: string) => (id: string) =>
  [process.execPath, '--expose-gc', '--import', register, here('drivers', file), id] as [string, ...string[]]
const fromPython = (id: string) => [interpreter, here('drivers', 'python.py'), id] as [string, ...string[]]
const fromRust = (id: string) => [driverBinary, id] as [string, ...string[]]

export const SYSTEMS: readonly Spec[] = [
  { id: 'vicinal', name: 'vicinal (Node)', ours: true, way: 'single', program: fromNode('vicinal.ts') },
  { id: INSERTED, name: 'vicinal, inserted (Node)', ours: true, way: 'single', program: fromNode('vicinal.ts') },
  { id: 'vicinal-rust', name: 'vicinal (Rust)', ours: true, way: 'single', program: fromRust },
  {
    id: 'vicinal-u8',
    name: 'vicinal, u8 (Node)',
    ours: true,
    way: 'single',
    element: 'u8',
    program: fromNode('vicinal.ts'),
  },
  { id: 'vicinal-u8-rust', name: 'vicinal, u8 (Rust)', ours: true, way: 'single', element: 'u8', program: fromRust },
  { id: 'hnswlib', name: 'hnswlib', ours: false, way: 'batch', program: fromPython },
  { id: 'faiss', name: 'Faiss HNSW', ours: false, way: 'batch', program: fromPython },
  { id: 'usearch', name: 'usearch', ours: false, way: 'batch', program: fromPython },
  { id: 'scalable-vs', name: 'scalable-vs Vamana', ours: false, way: 'batch', program: fromPython },
  // It takes three minutes for that many.
  { id: 'omendb', name: 'omendb', ours: false, way: 'single', mostRows: 100_000, program: fromPython },
  { id: 'hnswlib-node', name: 'hnswlib-node', ours: false, way: 'single', program: fromNode('node-peers.ts') },
  { id: 'usearch-node', name: 'usearch (Node)', ours: false, way: 'batch', program: fromNode('node-peers.ts') },
  { id: 'hnsw_rs', name: 'hnsw_rs', ours: false, way: 'single', program: fromRust },
]

/** A system, and how many rows it is given. */
export interface Entry {
  spec: Spec
  rows: number
}

/**
 * Who takes part in a run: who can keep its elements. Where peers are given fewer rows than the others, the index is measured with as many too, so
 * that each stands beside it on the same data.
 */
export function entries(systems: readonly Spec[], { rows, element }: DataInfo): Entry[] {
  const chosen = systems.filter((spec) => spec.element === undefined || spec.element === element)
  const all = chosen.map((spec): Entry => ({ spec, rows: Math.min(rows, spec.mostRows ?? rows) }))
  const fewer = [...new Set(all.map((entry) => entry.rows))].filter((count) => count < rows)
  const ours = chosen.filter((spec) => spec.ours && spec.id !== INSERTED && spec.element === undefined)
  return all.concat(fewer.flatMap((count) => ours.map((spec) => ({ spec, rows: count }))))
}
