// Makes examples/data from the whole set: node --import @oxc-node/core/register examples/make-data.ts <folder of the set>
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readVectors } from './formats.js'

/** The set's rows are already in random order, so every n-th of them is a random sample that anybody can repeat. */
const BASE_STEP = 50
const QUERY_STEP = 10
const K = 100

const [source] = process.argv.slice(2)
if (source === undefined) throw new Error('expected the folder that holds base.u8bin and query.u8bin')

const base = await sample('base.u8bin', BASE_STEP)
const query = await sample('query.u8bin', QUERY_STEP)
await writeFile(target('base.u8bin'), Buffer.concat([header(base.n, base.dimensions), base.rows]))
await writeFile(target('query.u8bin'), Buffer.concat([header(query.n, query.dimensions), query.rows]))
await writeFile(target('groundtruth.k100.ibin'), truth())

async function sample(name: string, step: number): Promise<{ rows: Uint8Array; n: number; dimensions: number }> {
  const { rows: all, n: whole, dimensions } = await readVectors(join(source!, name))
  const n = Math.floor(whole / step)
  const rows = new Uint8Array(n * dimensions)
  for (let row = 0; row < n; row++) {
    const first = row * step * dimensions
    rows.set(all.subarray(first, first + dimensions), row * dimensions)
  }
  return { rows, n, dimensions }
}

/** The K nearest rows of every query, computed in integers, nearest first, equals by row number. */
function truth(): Buffer {
  const ids = new Uint32Array(query.n * K)
  const distances = new Float32Array(query.n * K)
  const toQuery = new Uint32Array(base.n)
  for (let q = 0; q < query.n; q++) {
    for (let row = 0; row < base.n; row++) toQuery[row] = squaredDistance(q, row)
    const nearest = Uint32Array.from(toQuery.keys())
      .sort((a, b) => toQuery[a]! - toQuery[b]! || a - b)
      .subarray(0, K)
    ids.set(nearest, q * K)
    distances.set(
      nearest.map((row) => toQuery[row]!),
      q * K,
    )
  }
  return Buffer.concat([header(query.n, K), new Uint8Array(ids.buffer), new Uint8Array(distances.buffer)])
}

function squaredDistance(q: number, row: number): number {
  const { dimensions } = base
  let sum = 0
  for (let i = 0; i < dimensions; i++) {
    const difference = query.rows[q * dimensions + i]! - base.rows[row * dimensions + i]!
    sum += difference * difference
  }
  return sum
}

function header(n: number, d: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(n, d).buffer)
}

function target(name: string): string {
  return fileURLToPath(new URL(`data/${name}`, import.meta.url))
}
