import type { Id, VectorIndex } from 'vicinal'

/** Everything that a reader can see of an index, to compare before and after. */
export async function contents<I extends Id>(index: VectorIndex<I>): Promise<object> {
  const keys = [...index.keys()]
  const { vectors, found } = await index.getMany(keys as never)
  const query = new Float32Array(index.dimensions).fill(0.5)
  const { size, migration } = index
  return { size, keys, vectors, found, migration, hits: index.searchSync(query, { k: 20, exact: true }) }
}
