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

/** Places of a search's memory: what it is asked for, and for how many hits there is room. */
const REQUEST = 5
const HEADER = REQUEST + 1

/**
 * Memory that an index's calls pass to the native side, and that it writes to in synchronous searches. It
 * never leaves this package, so nobody can detach it or read half an answer.
 */
export class Scratch {
  readonly #index: NativeIndex
  readonly #search: ReturnType<NativeIndex['searcher']>
  readonly #dimensions: number
  readonly #idType: IdType
  // One array holds it all: see the native `searcher`. The others are views of it.
  #memory!: Float64Array
  #request!: Float64Array
  #ids!: ArrayLike<Id>
  #distances!: Float32Array
  #query!: Float32Array

  constructor(index: NativeIndex, dimensions: number, idType: IdType) {
    this.#index = index
    this.#search = index.searcher()
    this.#dimensions = dimensions
    this.#idType = idType
    this.#make(16)
  }

  /** Where a query may be put, for the next native call. */
  get query(): Float32Array {
    return this.#query
  }

  /** `[k, ef, recall, exact, maxDistance]`, good for the next native call. */
  request({ k, ef, recall, exact, maxDistance }: CheckedSearch): Float64Array {
    const request = this.#request
    request[0] = k
    request[1] = ef
    request[2] = recall
    request[3] = exact ? 1 : 0
    request[4] = maxDistance
    return request
  }

  search<I extends Id>(query: Float32Array, search: CheckedSearch, set: NativeIdSet | undefined): Hit<I>[] {
    const { k } = search
    try {
      if (this.#idType === 'string' || k > maxKept) {
        return toHits(this.#index.searchSync(query, this.request(search), set))
      }
      if (k > this.#distances.length) this.#make(k)
      if (query !== this.#query) this.#query.set(query)
      this.request(search)
      const count = set === undefined ? this.#search(this.#memory) : this.#search(this.#memory, set)
      return toHits([this.#ids, this.#distances], count)
    } catch (error) {
      throw fromThrown(error)
    }
  }

  #make(room: number): void {
    const distances = HEADER + room
    const query = distances + Math.ceil(room / 2)
    const memory = new Float64Array(query + Math.ceil(this.#dimensions / 2))
    const { buffer, BYTES_PER_ELEMENT: size } = memory
    memory[REQUEST] = room
    this.#memory = memory
    this.#request = memory.subarray(0, REQUEST)
    // The native side writes the bits of numbers there.
    this.#ids = new (this.#idType === 'number' ? Float64Array : BigUint64Array)(buffer, HEADER * size, room)
    this.#distances = new Float32Array(buffer, distances * size, room)
    this.#query = new Float32Array(buffer, query * size, this.#dimensions)
  }
}
