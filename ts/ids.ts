import { invalidArgument } from './errors.js'
import type { NativeIds } from './native.js'
import { allocate, checkAttached, kindOf, lengthOf, unshared, type Kinds } from './typed-arrays.js'
import type { Id, IdType } from './types.js'

/** Ids as the native side takes them. */
export interface IdList {
  native: NativeIds
  count: number
}

/** How the ids of one type are checked and passed on. */
export interface IdCodec {
  /** Checks one id. */
  one(id: unknown): Id
  /** Reads many ids, each once. */
  many(name: string, ids: unknown): IdList
}

const maxBigInt = 2n ** 64n - 1n
/** UTF-16 units after which a block of strings ends. V8 makes one piece of a block: so small a one is young, and soon gone. */
const blockLength = 1 << 15

const numbers: IdCodec = {
  one(id) {
    if (!Number.isSafeInteger(id)) throw invalidArgument('id', id, 'a safe integer')
    return id as number
  },
  many(name, ids) {
    switch (kindOf(ids)) {
      case 'Float64Array':
        return listOf(own(name, ids, 'Float64Array'))
      case 'Int32Array':
      case 'Uint32Array':
        checkAttached(name, ids as object)
        return listOf(new Float64Array(ids as Int32Array))
    }
    const array = checkArray(name, ids, 'an array of numbers, a Float64Array, Int32Array or Uint32Array')
    const native = allocate(Float64Array, array.length)
    for (let row = 0; row < native.length; row++) {
      const id = array[row]
      if (!Number.isSafeInteger(id)) throw invalidArgument(name, id, 'a safe integer', row)
      native[row] = id as number
    }
    return listOf(native)
  },
}

const bigints: IdCodec = {
  one(id) {
    return checkBigInt('id', id)
  },
  many(name, ids) {
    if (kindOf(ids) === 'BigUint64Array') return listOf(own(name, ids, 'BigUint64Array'))
    const array = checkArray(name, ids, 'an array of bigints or a BigUint64Array')
    const native = allocate(BigUint64Array, array.length)
    for (let row = 0; row < native.length; row++) native[row] = checkBigInt(name, array[row], row)
    return listOf(native)
  },
}

const strings: IdCodec = {
  one(id) {
    if (typeof id !== 'string') throw invalidArgument('id', id, 'a string')
    return id
  },
  many(name, ids) {
    const array = checkArray(name, ids, 'an array of strings')
    const lengths = allocate(Uint32Array, array.length)
    const blocks: string[] = []
    let block = ''
    for (let row = 0; row < lengths.length; row++) {
      const id = array[row]
      if (typeof id !== 'string') throw invalidArgument(name, id, 'a string', row)
      lengths[row] = id.length
      if (block.length + id.length > blockLength) {
        if (block !== '') blocks.push(block)
        block = ''
      }
      block += id
    }
    if (block !== '') blocks.push(block)
    return { native: { blocks, lengths }, count: lengths.length }
  },
}

export const codecs: Record<IdType, IdCodec> = { number: numbers, bigint: bigints, string: strings }

function listOf(native: Float64Array | BigUint64Array): IdList {
  return { native, count: lengthOf(native) }
}

/** A typed array that is there, and that nobody else writes to. */
function own<K extends 'Float64Array' | 'BigUint64Array'>(name: string, ids: unknown, kind: K): Kinds[K] {
  checkAttached(name, ids as object)
  return unshared(ids as object, kind)
}

function checkArray(name: string, ids: unknown, expected: string): unknown[] {
  if (Array.isArray(ids)) return ids
  throw invalidArgument(name, ids, name === 'filter' ? `${expected}, a Set or an IdSet` : expected)
}

function checkBigInt(name: string, id: unknown, row?: number): bigint {
  if (typeof id !== 'bigint' || id < 0n || id > maxBigInt)
    throw invalidArgument(name, id, 'a bigint, 0 … 2^64 − 1', row)
  return id
}
