import { VicinalError, invalidArgument } from './errors.js'
import type { NativeVectors } from './native.js'
import { allocate, checkAttached, isBuffer, kindOf, lengthOf, unshared } from './typed-arrays.js'

const vectorTypes = 'a Float32Array, Float64Array, Uint8Array, Int8Array (no Buffer) or an array of numbers'

type Kind = 'Float32Array' | 'Float64Array' | 'Uint8Array' | 'Int8Array'

type Floats = Float32Array | Float64Array
type FloatsConstructor = Float32ArrayConstructor | Float64ArrayConstructor

/** Vectors, row after row. */
export interface Rows {
  values: NativeVectors
  count: number
}

/** Reads a query into `scratch`, or into memory of its own where user code might run meanwhile. */
export function toQuery(query: unknown, scratch: Float32Array): Float32Array {
  const kind = vectorKind('query', query)
  if (kind !== undefined) {
    copyValues(query as NativeVectors, kind, scratch, 0, scratch.length)
    return scratch
  }
  if (!Array.isArray(query)) throw invalidArgument('query', query, vectorTypes)
  const values = new Float32Array(scratch.length)
  copyNumbers('query', query, values, 0, scratch.length)
  return values
}

/** Reads rows; those of an array into a `Floats`, which has all values as they were given or rounds them. */
export function toRows(
  name: string,
  vectors: unknown,
  dimensions: number,
  Floats: FloatsConstructor = Float32Array,
): Rows {
  const kind = vectorKind(name, vectors)
  if (kind !== undefined) return flatRows(vectors as NativeVectors, kind, dimensions)
  if (!Array.isArray(vectors)) throw invalidArgument(name, vectors, `${vectorTypes}, or an array of such`)
  const count = vectors.length
  const values = allocate<Floats>(Floats, count * dimensions)
  for (let row = 0; row < count; row++) copyRow(name, vectors[row], values, row, dimensions)
  return { values, count }
}

function flatRows(vectors: NativeVectors, kind: Kind, dimensions: number): Rows {
  const values = unshared(vectors, kind)
  const length = lengthOf(values)
  if (length % dimensions !== 0) {
    throw new VicinalError('ERR_DIMENSION_MISMATCH', `got ${length} values, expected a multiple of ${dimensions}`)
  }
  return { values, count: length / dimensions }
}

function copyRow(name: string, vector: unknown, values: Floats, row: number, dimensions: number): void {
  const kind = vectorKind(name, vector, row)
  if (kind !== undefined) {
    copyValues(vector as NativeVectors, kind, values, row * dimensions, dimensions, row)
  } else if (Array.isArray(vector)) {
    copyNumbers(name, vector, values, row * dimensions, dimensions, row)
  } else {
    throw invalidArgument(name, vector, vectorTypes, row)
  }
}

function copyValues(
  vector: NativeVectors,
  kind: Kind,
  values: Floats,
  offset: number,
  dimensions: number,
  row?: number,
): void {
  checkDimensions(lengthOf(vector), dimensions, row)
  values.set(vector, offset)
  if (kind !== 'Float64Array') return
  for (let i = 0; i < dimensions; i++) checkKept(vector[i]!, values[offset + i]!, i, row)
}

function copyNumbers(
  name: string,
  numbers: unknown[],
  values: Floats,
  offset: number,
  dimensions: number,
  row?: number,
): void {
  checkDimensions(numbers.length, dimensions, row)
  for (let i = 0; i < dimensions; i++) {
    const value = numbers[i]
    if (typeof value !== 'number') throw invalidArgument(`${name}[${i}]`, value, 'a number', row)
    values[offset + i] = value
    checkKept(value, values[offset + i]!, i, row)
  }
}

/** Refuses a finite number that single precision has no place for: to the native side it is infinite. */
function checkKept(given: number, kept: number, position: number, row?: number): void {
  if (Number.isFinite(kept) || !Number.isFinite(given)) return
  const got = `${inRow(row)}got ${given} at position ${position}`
  throw new VicinalError('ERR_INVALID_VECTOR', `${got}, expected finite values below 3.4028236e38 in magnitude`)
}

function checkDimensions(got: number, expected: number, row?: number): void {
  if (got === expected) return
  throw new VicinalError('ERR_DIMENSION_MISMATCH', `${inRow(row)}got ${got} values, expected ${expected}`)
}

function inRow(row: number | undefined): string {
  return row === undefined ? '' : `row ${row}: `
}

/** The class of a typed array that holds the values of vectors; undefined for what is no typed array. */
function vectorKind(name: string, vector: unknown, row?: number): Kind | undefined {
  const kind = kindOf(vector)
  switch (kind) {
    case 'Float32Array':
    case 'Float64Array':
    case 'Uint8Array':
    case 'Int8Array':
      if (isBuffer(vector as NativeVectors)) throw invalidArgument(name, vector, vectorTypes, row)
      checkAttached(name, vector as NativeVectors, row)
      return kind
    default:
      return undefined
  }
}
