import test from 'ava'
import { VectorIndex } from 'vicinal'
import { range, rowOf, vectors } from './helpers/data.js'
import { readPhotos } from './helpers/photos.js'

const photos = await readPhotos()
const { rows, queries, dimensions, count } = photos

/** Recall@10 that the finished graph has at least, by ef. */
const finished = { 10: 0.82, 24: 0.94, 50: 0.98, 100: 0.995, 200: 0.998, 400: 0.999 }
const efs = Object.keys(finished).map(Number)

function recalls(index: VectorIndex): Promise<number[]> {
  return Promise.all(efs.map((ef) => photos.recall(index, ef, index.size)))
}

test('recall on real data is there before, during and after the migration', async (t) => {
  const index = new VectorIndex({ dimensions, migration: 'manual' })
  await index.add(range(count), rows)
  const before = await recalls(index)
  t.deepEqual(before, efs.map(() => 1)) // prettier-ignore

  const during: number[][] = []
  for (const share of [0.1, 0.5, 0.9]) {
    const waiting = await index.migrateStep(share * count - index.migration.migrated)
    t.is(waiting, count - share * count)
    t.is(index.migration.state, 'paused')
    during.push(await recalls(index))
  }
  t.is(await index.migrateStep(count), 0)
  t.is(index.migration.state, 'graph')
  const after = await recalls(index)

  t.log(`recall@10 at ef ${efs.join(', ')}: ${after.map((recall) => recall.toFixed(4)).join(', ')}`)
  for (const [i, [ef, least]] of Object.entries(finished).entries()) {
    t.true(after[i]! >= least, `after: ${after[i]} at ef ${ef}, expected ${least}`)
    t.true(i === 0 || after[i]! >= after[i - 1]!, 'more with more ef')
    for (const [stage, recall] of during.map((one) => one[i]!).entries()) {
      t.true(recall >= after[i]! - 0.005, `during, stage ${stage}: ${recall} at ef ${ef}, finished ${after[i]}`)
    }
  }

  const verified = await index.verify({ samples: 300 })
  t.is(verified.samples, 300)
  t.is(verified.unreachable, 0)
  t.true(verified.recall >= 0.95, String(verified.recall))
})

test('recall is the same when rows come in while the migration runs', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: 1_000 })
  const batch = 500
  for (let first = 0; first < 6_000; first += batch) {
    await index.add(range(batch, first), rows.subarray(first * dimensions, (first + batch) * dimensions))
    const query = rowOf(rows, first + 1, dimensions)
    t.is((await index.search(query, { k: 1 }))[0]!.distance, 0)
  }
  await index.migrate()
  const after = await recalls(index)
  for (const [i, [ef, least]] of Object.entries(finished).entries()) {
    t.true(after[i]! >= least, `${after[i]} at ef ${ef}, expected ${least}`)
  }
})

test('exact answers on real data are the ground truth', async (t) => {
  const index = new VectorIndex({ dimensions, threshold: Infinity })
  await index.add(range(count), Uint8Array.from(rows))
  t.is(await photos.recall(index, 1), 1)
  const { distances } = await index.searchBatch(rowOf(queries, 0, dimensions), { exact: true })
  t.deepEqual(distances, Float32Array.from(distances).sort())
})

test('rows that come later and lie near each other, or far from all others, are found', async (t) => {
  const values = 32
  const rowsAround = (center: number, width: number, many: number, seed: number) =>
    vectors(many, values, seed).map((value) => center + width * value)
  for (const [center, width] of [
    [1_000, 1],
    [0.5, 1e-4],
  ] as const) {
    // prettier-ignore
    const index = new VectorIndex({ dimensions: values })
    await index.add(range(8_000), vectors(8_000, values))
    await index.migrate()
    await index.add(range(300, 8_000), rowsAround(center, width, 300, 2))
    await index.migrate()
    t.true(index.stats().bytes.codes > 0, 'rows are compared by codes')
    let found = 0
    for (let query = 0; query < 40; query++) {
      const vector = rowsAround(center, width, 1, 3 + query)
      const exact = index.searchSync(vector, { k: 10, exact: true })
      const hits = index.searchSync(vector, { k: 10 })
      found += hits.filter(({ distance }) => distance <= exact[9]!.distance).length
    }
    t.true(found >= 390, `around ${center}, ${width} wide: ${found} of 400`)
    await index.close()
  }
})
