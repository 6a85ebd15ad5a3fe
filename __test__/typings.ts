// Checked by the compiler, never run: what it must accept, and, after @ts-expect-error, what it must refuse.
import { VectorIndex, VicinalError } from 'vicinal'
import type { BatchHits, ErrorCode, Filter, Hit, IdSet, Migration, Progress } from 'vicinal'

const numbers = new VectorIndex({ dimensions: 3 })
const bigints = new VectorIndex({ dimensions: 3, idType: 'bigint', metric: 'cosine' })
const strings = new VectorIndex({ dimensions: 3, idType: 'string', threshold: Infinity, migration: 'manual' })

/** Compiles only if the two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
export const same: true[] = [
  true satisfies Same<typeof numbers, VectorIndex<number>>,
  true satisfies Same<typeof numbers, VectorIndex>,
  true satisfies Same<typeof bigints, VectorIndex<bigint>>,
  true satisfies Same<typeof strings, VectorIndex<string>>,
]

function onProgress({ done, total, phase }: Progress): void {
  void [done.toFixed(), total.toFixed(), phase.trim()]
}

export async function accepts(signal: AbortSignal): Promise<void> {
  await numbers.add([1, 2], [[1, 2, 3], new Float32Array(3)], { signal, onProgress })
  await numbers.add(Int32Array.of(1), new Float64Array(3))
  await numbers.upsert(Uint32Array.of(1), [Uint8Array.of(1, 2, 3)] as const)
  await bigints.add(BigUint64Array.of(1n), new Int8Array(3))
  await strings.add(['a'] as const, [[1, 2, 3]])
  numbers.addSync(Float64Array.of(1), [[1, 2, 3]])

  const byNumber: Hit<number>[] = await numbers.search([1, 2, 3], { k: 5, filter: new Set([1]), signal })
  const byBigint: Hit<bigint>[] = bigints.searchSync(new Float32Array(3), { filter: [1n], exact: true })
  const byString: Hit<string>[] = await strings.searchById('a', { filter: await strings.idSet(['b']), ef: 9 })
  byNumber[0]?.id.toFixed()
  byBigint[0]?.id.toLocaleString()
  byString[0]?.id.trim()

  const { ids, distances, counts }: BatchHits = await strings.searchBatch(new Float32Array(6), { signal, onProgress })
  const typed: Float64Array | BigUint64Array | string[] = ids
  const found: [Float32Array, Uint32Array] = [distances, counts]
  const row: Float32Array | undefined = bigints.get(1n)
  const removed: number = await numbers.remove(1)
  const key: string | undefined = [...strings.keys()][0]
  const { state, migrated, method, error }: Migration = numbers.migration
  const code: ErrorCode | undefined = error?.code
  const { vectors, seconds }: { vectors: number; seconds: number } = await numbers.migrate({ signal })
  const loaded: VectorIndex<bigint> = await VectorIndex.load<bigint>('file', { idType: 'bigint', threads: 2 })
  const plain: VectorIndex<number> = await VectorIndex.load('file')
  const set: IdSet<number> = await numbers.idSet([1])
  const filters: Filter<number>[] = [set, [1], new Set([1]), Float64Array.of(1)]
  const cause: unknown = new VicinalError('ERR_IO', 'message', { cause: 1 }).cause
  void [typed, found, row, removed, key, state, migrated, method, code, vectors, seconds, loaded, plain, filters, cause]
}

export async function refuses(): Promise<void> {
  // @ts-expect-error the id type decides
  await numbers.add(['a'], [[1, 2, 3]])
  // @ts-expect-error the id type decides
  await numbers.add([1n], [[1, 2, 3]])
  // @ts-expect-error the id type decides
  await numbers.add(BigUint64Array.of(1n), [[1, 2, 3]])
  // @ts-expect-error the id type decides
  await bigints.upsert([1], [[1, 2, 3]])
  // @ts-expect-error the id type decides
  await bigints.add(Float64Array.of(1), [[1, 2, 3]])
  // @ts-expect-error the id type decides
  await strings.remove(1)
  // @ts-expect-error the id type decides
  strings.get(1n)
  // @ts-expect-error the id type decides
  numbers.has('a')
  // @ts-expect-error the id type decides
  await bigints.searchById(1)
  // @ts-expect-error the id type decides
  await strings.search([1, 2, 3], { filter: [1] })
  // @ts-expect-error the id type decides
  await strings.search([1, 2, 3], { filter: new Set([1]) })
  // @ts-expect-error a prepared filter is of one id type
  await strings.search([1, 2, 3], { filter: await numbers.idSet([1]) })
  // @ts-expect-error ids of numbers are no strings
  ;(await numbers.search([1, 2, 3]))[0]?.id.trim()

  // @ts-expect-error no such metric
  void new VectorIndex({ dimensions: 3, metric: 'euclidean' })
  // @ts-expect-error no such option
  void new VectorIndex({ dimensions: 3, efSearch: 3 })
  // @ts-expect-error dimensions are needed
  void new VectorIndex({ metric: 'l2' })
  // @ts-expect-error no such option
  await numbers.search([1, 2, 3], { topK: 3 })
  // @ts-expect-error a single search has no progress
  await numbers.search([1, 2, 3], { onProgress: () => undefined })
  // @ts-expect-error a flat array of numbers is one vector
  await numbers.add([1], [1, 2, 3])
  // @ts-expect-error no such element type
  await numbers.add([1], new Uint16Array(3))
  // @ts-expect-error no such code
  throw new VicinalError('ERR_UNKNOWN', 'message')
}

export function readOnly(): void {
  // @ts-expect-error an index is what it was made as
  numbers.dimensions = 4
  // @ts-expect-error an index is what it was made as
  numbers.size = 4
}
