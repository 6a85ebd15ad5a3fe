// What `npm run test:arm64` runs in the emulated Node: exact search, the graph, and that both agree.
const assert = require('node:assert/strict')
const { VectorIndex } = require('vicinal')

async function trial() {
  const dimensions = 24
  const rows = 600
  const vectors = Float32Array.from({ length: rows * dimensions }, (_, i) => Math.sin(i * i))
  const ids = Array.from({ length: rows }, (_, row) => row)

  const index = new VectorIndex({ dimensions, threshold: 100 })
  await index.add(ids, vectors)
  await index.migrate()
  assert.equal(index.migration.state, 'graph')
  for (const row of [0, 17, 599]) {
    const query = vectors.subarray(row * dimensions, (row + 1) * dimensions)
    const exact = await index.search(query, { k: 5, exact: true })
    assert.deepEqual(await index.search(query, { k: 5, ef: 200 }), exact)
    assert.deepEqual(exact[0], { id: row, distance: 0 })
  }
  console.log(`${process.arch}: ${rows} vectors, ${index.stats().simd}: exact search and graph agree`)
  await index.close()
}

trial()
