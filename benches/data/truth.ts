// Writes the exact nearest rows of all queries among the first rows of a base, by the index's exact scan. A sample of
// the queries is searched a second time, by a plain loop in double precision, so that the scan does not vouch for itself.
//
//   node --import @oxc-node/core/register benches/data/truth.ts --base F --query F --metric M --rows N --out F
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { VectorIndex, type Metric } from 'vicinal'
import { readVectors, VectorFile } from '../../examples/formats.js'
import { rowNumbers } from '../drivers/rows.js'

const K = 100
const BLOCK = 10_000
const CHECKED_QUERIES = 10

const text = { type: 'string' } as const
const { base, query, metric, rows, out } = parseArgs({
  options: { base: text, query: text, metric: text, rows: text, out: text },
}).values as Record<'base' | 'query' | 'metric' | 'rows' | 'out', string>

const file = await VectorFile.open(base)
const n = Math.min(Number(rows), file.n)
const k = Math.min(K, n)
const { dimensions } = file
const queries = new Float32Array((await readVectors(query)).rows)
const count = queries.length / dimensions

const index = new VectorIndex({ dimensions, metric: metric as Metric, threshold: Infinity, capacity: n })
for (let first = 0; first < n; first += BLOCK) {
  const end = Math.min(first + BLOCK, n)
  await index.add(rowNumbers(first, end), await file.read(first, end - first))
}
const { ids, distances } = await index.searchBatch(queries, { k, exact: true })
await check()
const header = Uint32Array.of(count, k)
const parts = [header, Uint32Array.from(ids as Float64Array), distances]
await writeFile(out, Buffer.concat(parts.map((part) => new Uint8Array(part.buffer))))
await index.close()
await file.close()

/** Throws where the k-th distance is not that of the plain loop. */
async function check(): Promise<void> {
  const step = Math.max(1, Math.floor(count / CHECKED_QUERIES))
  const checked = Array.from({ length: CHECKED_QUERIES }, (_, i) => i * step).filter((number) => number < count)
  const all = checked.map(() => new Float64Array(n))
  for (let first = 0; first < n; first += BLOCK) {
    const block = await file.read(first, Math.min(BLOCK, n - first))
    for (const [i, number] of checked.entries()) {
      for (let row = 0; row * dimensions < block.length; row++) all[i]![first + row] = distance(number, block, row)
    }
  }
  for (const [i, number] of checked.entries()) {
    const expected = all[i]!.sort()[k - 1]!
    const got = distances[number * k + k - 1]!
    if (!(Math.abs(got - expected) <= 1e-5 * Math.abs(expected) + 1e-6)) {
      throw new Error(`query ${number}: the scan found ${got} as the ${k}th distance, the plain loop ${expected}`)
    }
  }
}

function distance(number: number, block: ArrayLike<number>, row: number): number {
  let [apart, product, ofQuery, ofRow] = [0, 0, 0, 0]
  for (let i = 0; i < dimensions; i++) {
    const a = queries[number * dimensions + i]!
    const b = block[row * dimensions + i]!
    apart += (a - b) * (a - b)
    product += a * b
    ofQuery += a * a
    ofRow += b * b
  }
  return metric === 'cosine' ? 1 - product / Math.sqrt(ofQuery * ofRow) : apart
}
