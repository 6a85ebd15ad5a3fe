// Measures hnswlib-node or usearch's package for Node, which are installed in benches/peers; the name of the system comes
// first. See benches/README.md for the commands.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BUILD_THREADS, EF_CONSTRUCTION, K, loadAccepted, loadBase, loadQueries, M, measureBuild } from './node.js'
import { readOptions, recall, serve, timeSingles, type Commands, type Data, type Queries, type Speed } from './node.js'

const peers = new URL('../peers/', import.meta.url)
const load = createRequire(peers)

/** A package under the names of this program. `search` gives row numbers, `batch` is absent where there is none. */
interface Library {
  package: string
  parameters: Record<string, string | number>
  build: (data: Data) => void
  /** What must be done before searches and is no part of building. */
  built?: () => void
  setEf: (ef: number) => void
  /** Queries in the form that the package takes. */
  prepare: (query: Float32Array) => unknown
  search: (query: unknown) => ArrayLike<number>
  batch?: (queries: Float32Array) => ArrayLike<number>
}

/** Takes plain arrays only, one row a call, on one thread. */
function hnswlibNode(): Library {
  const { HierarchicalNSW } = load('hnswlib-node')
  let index: any
  return {
    package: 'hnswlib-node',
    parameters: { m: M, efConstruction: EF_CONSTRUCTION, 'threads to build': 1, rows: 'f32' },
    build({ base, rows, dimensions, metric }) {
      index = new HierarchicalNSW(metric, dimensions)
      index.initIndex(rows, M, EF_CONSTRUCTION)
      for (let row = 0; row < rows; row++) {
        index.addPoint(Array.from(base.subarray(row * dimensions, (row + 1) * dimensions)), row)
      }
    },
    setEf: (ef) => index.setEf(ef),
    prepare: (query) => Array.from(query),
    search: (query) => index.searchKnn(query, K).neighbors,
  }
}

/** The width of a search is set when an index is made, so the saved index is opened with each. */
function usearchNode(): Library {
  const { Index } = load('usearch')
  const folder = mkdtempSync(join(tmpdir(), 'vicinal-bench-'))
  const file = join(folder, 'index.usearch')
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  let open: (ef: number) => any
  let index: any
  return {
    package: 'usearch',
    parameters: { connectivity: M, expansion_add: EF_CONSTRUCTION, rows: 'f32' },
    build({ base, rows, dimensions, metric }) {
      open = (ef) =>
        new Index({
          dimensions,
          metric: metric === 'l2' ? 'l2sq' : 'cos',
          quantization: 'f32',
          connectivity: M,
          expansion_add: EF_CONSTRUCTION,
          expansion_search: ef,
        })
      index = open(K)
      index.add(
        BigUint64Array.from({ length: rows }, (_, row) => BigInt(row)),
        base,
        BUILD_THREADS,
      )
    },
    built: () => index.save(file),
    setEf(ef) {
      index = open(ef)
      index.load(file)
    },
    prepare: (query) => query,
    search: (query) => rowsOf(index.search(query, K, 1).keys),
    batch: (queries) => rowsOf(index.search(queries, K, 1).keys),
  }
}

function rowsOf(keys: BigUint64Array): Float64Array {
  return Float64Array.from(keys, Number)
}

const LIBRARIES: Record<string, () => Library> = { 'hnswlib-node': hnswlibNode, 'usearch-node': usearchNode }

const options = readOptions()

class Peer implements Commands {
  #library!: Library
  #queries!: Queries
  #singles!: unknown[]
  #accepted!: Set<number>[]

  open = async (): Promise<object> => {
    this.#library = LIBRARIES[options.library ?? '']!()
    this.#queries = await loadQueries(options.query)
    this.#singles = this.#queries.singles.map((query) => this.#library.prepare(query))
    this.#accepted = await loadAccepted(options.truth)
    const manifest = new URL(`node_modules/${this.#library.package}/package.json`, peers)
    return { version: JSON.parse(readFileSync(manifest, 'utf8')).version }
  }

  build = async (): Promise<object> => {
    const data = await loadBase(options)
    const built = await measureBuild(async () => this.#library.build(data))
    this.#library.built?.()
    return { ...built, parameters: this.#library.parameters }
  }

  recall = async (ef: number): Promise<object> => {
    this.#library.setEf(ef)
    const { all, count } = this.#queries
    const dimensions = all.length / count
    const found = new Float64Array(count * K).fill(-1)
    for (let query = 0; query < count; query++) {
      const values = all.subarray(query * dimensions, (query + 1) * dimensions)
      found.set(this.#library.search(this.#library.prepare(values)), query * K)
    }
    return { recall: recall(found, this.#accepted) }
  }

  search = async (ef: number): Promise<object> => {
    this.#library.setEf(ef)
    const single = timeSingles(this.#singles, (query) => this.#library.search(query))
    if (this.#library.batch === undefined) return { single }
    const start = performance.now()
    this.#library.batch(this.#queries.timed)
    const batch: Speed = { qps: (1000 * this.#singles.length) / (performance.now() - start) }
    return { single, batch }
  }
}

await serve(new Peer())
