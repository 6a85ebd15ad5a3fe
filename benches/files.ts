// What files cost, in one run: `node --import @oxc-node/core/register benches/files.ts [rows] [directory]`, by default of
// 1,000,000 × 128 rows around 10,000 centers. All files are in the page cache.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { VectorIndex } from 'vicinal'
import { median } from './compare/curves.js'

const dimensions = 128
const rows = Number(process.argv[2] ?? 1_000_000)
const batch = 10_000
const place = mkdtempSync(path.join(process.argv[3] ?? tmpdir(), 'vicinal-files-'))
const file = path.join(place, 'file.index')
const directory = path.join(place, 'directory')

let seed = 1
/** Uniform in [0, 1), the same in every run. */
function random(): number {
  seed = (seed * 48_271) % 0x7fffffff
  return seed / 0x7fffffff
}

const centers = Float32Array.from({ length: 10_000 * dimensions }, random)

function vectors(count: number): Float32Array {
  const values = new Float32Array(count * dimensions)
  for (let row = 0; row < count; row++) {
    const center = Math.floor(random() * 10_000) * dimensions
    for (let i = 0; i < dimensions; i++)
      values[row * dimensions + i] = centers[center + i]! + 0.3 * (random() - random())
  }
  return values
}

async function fill(index: VectorIndex): Promise<void> {
  for (let row = 0; row < rows; row += batch) {
    const ids = Array.from({ length: batch }, (_, i) => row + i)
    await index.add(ids, vectors(batch))
  }
  await index.migrate()
}

/** Milliseconds to read a file once, as `cat` does. */
function read(name: string): number {
  const buffer = Buffer.alloc(128 << 10)
  const start = performance.now()
  const handle = openSync(name, 'r')
  while (readSync(handle, buffer) > 0);
  closeSync(handle)
  return performance.now() - start
}

/** Milliseconds until an index is there and has answered, and until it has answered 100 more. */
async function answer(make: () => Promise<VectorIndex>): Promise<[number, number]> {
  const queries = Array.from({ length: 101 }, () => vectors(1))
  const start = performance.now()
  const index = await make()
  index.searchSync(queries[0]!)
  const first = performance.now() - start
  for (const query of queries.slice(1)) index.searchSync(query)
  const next = performance.now() - start - first
  await index.close()
  return [first, next]
}

try {
  const index = await VectorIndex.open(directory, { dimensions, durability: 'buffered' })
  await fill(index)
  const { vectors: of, codes, links, ids } = index.stats().bytes
  await index.save(file)
  await index.close()
  const { size } = statSync(file)
  const figures = { read: [], view: [], next: [], load: [], open: [] } as Record<string, number[]>
  for (let round = 0; round < 5; round++) {
    figures.read!.push(read(file))
    const [first, next] = await answer(() => VectorIndex.view(file))
    figures.view!.push(first)
    figures.next!.push(next)
    figures.load!.push((await answer(() => VectorIndex.load(file)))[0])
    figures.open!.push((await answer(() => VectorIndex.open(directory, { readOnly: true })))[0])
  }
  const ms = (name: string): string => median(figures[name]!).toFixed(1)
  const over = (name: string): string => (median(figures[name]!) / median(figures.read!)).toFixed(2)
  console.table({
    rows: rows,
    'file over rows, codes, links and ids': (size / (of + codes + links + ids)).toFixed(3),
    'read once, ms': ms('read'),
    'view, first answer, ms': ms('view'),
    'view, the next 100, ms': ms('next'),
    'load, first answer, ms': ms('load'),
    'load over read': over('load'),
    'open, first answer, ms': ms('open'),
    'open over read': over('open'),
  })
} finally {
  rmSync(place, { recursive: true, force: true })
}
