import { fromThrown } from './errors.js'
import type { NativeIdSet, NativeIndex } from './native.js'
import type { CheckedSearch } from './options.js'
import type { Hit, Id, IdType } from './types.js'

/** Ids and distances, nearest first. */
export type NativeHits = [ids: ArrayLike<Id>, distances: Float32Array]

/** From this `k` on, room for all neighbors is not kept: the native side makes as much as it finds. */
const maxKept = 1 << 12

export function toHits<I extends Id>([ids, distances]: NativeHits, count = distances.length): Hit<I>[] {
  const hits: Hit<I>[] = []
  for (let i = 0; i < count; i++) hits.push({ id: ids[i] as I, distance: distances[i] as number })
  return hits
}

/**
 * Memory that an index's calls pass to the native side, and that it writes to in synchronous searches. It
 * never leaves this package, so nobody can detach it or read half an answer.
 */
export class Scratch {
  readonly query: Float32Array
  readonly #request = new Float64Array(4)
  readonly #idType: IdType
  #keys = new BigUint64Array(0)
  #ids: ArrayLike<Id> = this.#keys
  #distances = new Float32Array(0)

  constructor(dimensions: number, idType: IdType) {
    this.query = new Float32Array(dimensions)
    this.#idType = idType
  }

  /** `[k, ef, exact, maxDistance]`, good for the next native call. */
  request({ k, ef, exact, maxDistance }: CheckedSearch): Float64Array {
    const request = this.#request
    request[0] = k
    request[1] = ef
    request[2] = exact ? 1 : 0
    request[3] = maxDistance
    return request
  }

  search<I extends Id>(
    index: NativeIndex,
    query: Float32Array,
    search: CheckedSearch,
    set: NativeIdSet | undefined,
  ): Hit<I>[] {
    const request = this.request(search)
    try {
      if (this.#idType === 'string' || search.k > maxKept) return toHits(index.searchSync(query, request, set))
      if (search.k > this.#keys.length) this.#grow(search.k)
      const count = index.searchInto(query, request, this.#keys, this.#distances, set)
      return toHits([this.#ids, this.#distances], count)
    } catch (error) {
      throw fromThrown(error)
    }
  }

  #grow(k: number): void {
    this.#keys = new BigUint64Array(k)
    // The native side writes the bits of numbers there.
    this.#ids = this.#idType === 'number' ? new Float64Array(this.#keys.buffer) : this.#keys
    this.#distances = new Float32Array(k)
  }
}
