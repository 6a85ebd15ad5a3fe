import { FormatError } from './header.js'
import { rowBytes, type Element, type Layout } from './layout.js'

/** Rows one after the other, as an index takes them: bytes stay bytes, every other element becomes a 32-bit float. */
export type Rows = Float32Array | Uint8Array

/** The array in which rows of this element are handed out. */
export function emptyRows(element: Element, length: number): Rows {
  return element === 'u1' ? new Uint8Array(length) : new Float32Array(length)
}

/**
 * Turns the bytes of whole rows into numbers.
 *
 * @param firstRow number of the first of these rows in the file, for messages
 * @throws FormatError when a row of an fvecs or bvecs file has another dimension than the first one
 */
export function decodeRows(path: string, layout: Layout, bytes: Uint8Array, firstRow: number): Rows {
  const packed = layout.rowPrefix === 0 ? bytes : stripPrefixes(path, layout, bytes, firstRow)
  // Typed arrays wider than a byte begin at a multiple of their width only.
  const aligned = packed.byteOffset % 8 === 0 ? packed : packed.slice()
  return CONVERTERS[layout.element](aligned)
}

/** IEEE 754 half precision to a number. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

const CONVERTERS: Readonly<Record<Element, (bytes: Uint8Array) => Rows>> = {
  u1: (bytes) => bytes,
  i1: ({ buffer, byteOffset, length }) => new Float32Array(new Int8Array(buffer, byteOffset, length)),
  f2: ({ buffer, byteOffset, length }) => halvesToFloats(new Uint16Array(buffer, byteOffset, length / 2)),
  f4: ({ buffer, byteOffset, length }) => new Float32Array(buffer, byteOffset, length / 4),
  f8: ({ buffer, byteOffset, length }) => new Float32Array(new Float64Array(buffer, byteOffset, length / 8)),
}

let halves: Float32Array | undefined

/** There are only 65,536 halves, so a table of them all is the fastest way. */
function halvesToFloats(bits: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 65_536 }, (_, half) => halfToNumber(half))
  const floats = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) floats[i] = halves[bits[i]!]!
  return floats
}

function stripPrefixes(path: string, layout: Layout, bytes: Uint8Array, firstRow: number): Uint8Array {
  const stride = rowBytes(layout)
  const payload = stride - layout.rowPrefix
  const count = bytes.length / stride
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const packed = new Uint8Array(count * payload)
  for (let row = 0; row < count; row++) {
    const dimensions = view.getInt32(row * stride, true)
    if (dimensions !== layout.dimensions) {
      throw new FormatError(
        `${path}: row ${firstRow + row} has ${dimensions} dimensions, expected ${layout.dimensions}`,
      )
    }
    packed.set(bytes.subarray(row * stride + layout.rowPrefix, (row + 1) * stride), row * payload)
  }
  return packed
}
