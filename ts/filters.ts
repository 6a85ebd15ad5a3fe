import { fromThrown, invalidArgument } from './errors.js'
import type { IdCodec } from './ids.js'
import type { NativeIdSet, NativeIds, NativeIndex } from './native.js'
import type { Id, IdSet } from './types.js'

/** A filter as the native side takes it: prepared, as ids to prepare, or neither. */
export interface NativeFilter {
  set: NativeIdSet | undefined
  ids: NativeIds | undefined
}

const noFilter: NativeFilter = { set: undefined, ids: undefined }

class PreparedFilter {
  readonly #set: NativeIdSet
  readonly #index: NativeIndex

  constructor(set: NativeIdSet, index: NativeIndex) {
    this.#set = set
    this.#index = index
  }

  /** The native set, if `value` is a prepared filter at all. */
  static setOf(value: unknown, index: NativeIndex): NativeIdSet | undefined {
    if (typeof value !== 'object' || value === null || !(#set in value)) return undefined
    if (value.#index !== index) throw invalidArgument('filter', value, 'one that was made by this index')
    return value.#set
  }

  static {
    // What users know it as.
    Object.defineProperty(this, 'name', { value: 'IdSet' })
  }
}

export function prepared<I extends Id>(set: NativeIdSet, index: NativeIndex): IdSet<I> {
  return new PreparedFilter(set, index) as unknown as IdSet<I>
}

export function toFilter(filter: unknown, index: NativeIndex, codec: IdCodec): NativeFilter {
  if (filter === undefined) return noFilter
  const set = PreparedFilter.setOf(filter, index)
  if (set !== undefined) return { set, ids: undefined }
  return { set: undefined, ids: codec.many('filter', isSet(filter) ? Array.from(filter) : filter).native }
}

/** A filter for a synchronous search, which has no other thread to prepare it on. */
export function toPrepared(filter: unknown, index: NativeIndex, codec: IdCodec): NativeIdSet | undefined {
  const { set, ids } = toFilter(filter, index, codec)
  if (ids === undefined) return set
  try {
    return index.idSetSync(ids)
  } catch (error) {
    throw fromThrown(error)
  }
}

/** A `Set` of any realm, or what has its methods; not a `Map`, which has them too. */
function isSet(value: unknown): value is Iterable<unknown> {
  if (typeof value !== 'object' || value === null) return false
  if (Object.prototype.toString.call(value) === '[object Map]') return false
  const { has, [Symbol.iterator]: iterator } = value as { has?: unknown; [Symbol.iterator]?: unknown }
  return typeof has === 'function' && typeof iterator === 'function'
}
