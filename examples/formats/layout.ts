import { FormatError, headerView } from './header.js'
import { parseNpyHeader } from './npy.js'

/** One stored component, named as NumPy names it: unsigned or signed byte, half, single and double precision. */
export type Element = 'u1' | 'i1' | 'f2' | 'f4' | 'f8'

export const ELEMENT_BYTES: Readonly<Record<Element, number>> = { u1: 1, i1: 1, f2: 2, f4: 4, f8: 8 }

/** Where the rows of a vector file lie: `n` rows of `dimensions` elements from byte `offset` on. */
export interface Layout {
  n: number
  dimensions: number
  element: Element
  /** Byte at which the first row begins. */
  offset: number
  /** Bytes before each row's elements: 4 in fvecs and bvecs, where every row repeats its dimension. */
  rowPrefix: number
}

/** Bytes from one row to the next. */
export function rowBytes(layout: Layout): number {
  return layout.rowPrefix + layout.dimensions * ELEMENT_BYTES[layout.element]
}

/**
 * Reads the header of a vector file and checks the file's size against it.
 *
 * @param path names the format by its extension: u8bin, fbin, f16bin, fvecs, bvecs or npy
 * @param head the file's first bytes, all of it or at least `MAX_HEADER_BYTES`
 * @param size the whole file's bytes
 * @throws FormatError for an unknown extension, a broken header, or a size that does not fit it
 */
export function parseLayout(path: string, head: Uint8Array, size: number): Layout {
  const extension = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? ''
  const parse = PARSERS[extension]
  if (parse === undefined) {
    throw new FormatError(`${path}: unknown format '${extension}', expected one of ${Object.keys(PARSERS).join(', ')}`)
  }
  const layout = parse(path, head, size)
  if (layout.n === 0 || layout.dimensions === 0) {
    throw new FormatError(
      `${path}: holds ${layout.n} rows of ${layout.dimensions} dimensions, expected at least one of each`,
    )
  }
  const expected = layout.offset + layout.n * rowBytes(layout)
  if (size !== expected) {
    throw new FormatError(
      `${path}: has ${size} bytes, expected ${expected} for ${layout.n} rows of ${layout.dimensions} × ${layout.element}`,
    )
  }
  return layout
}

type Parser = (path: string, head: Uint8Array, size: number) => Layout

const PARSERS: Readonly<Record<string, Parser>> = {
  u8bin: bin('u1'),
  fbin: bin('f4'),
  f16bin: bin('f2'),
  fvecs: vecs('f4'),
  bvecs: vecs('u1'),
  npy: (path, head) => ({ ...parseNpyHeader(path, head), rowPrefix: 0 }),
}

/** The *bin formats of the Big-ANN benchmarks: n and d as u32, then the rows. */
function bin(element: Element): Parser {
  return (path, head) => {
    const view = headerView(path, head, 8)
    return { n: view.getUint32(0, true), dimensions: view.getUint32(4, true), element, offset: 8, rowPrefix: 0 }
  }
}

/** The *vecs formats of TEXMEX: every row is its dimension as i32 and then its elements; n follows from the size. */
function vecs(element: Element): Parser {
  return (path, head, size) => {
    const dimensions = headerView(path, head, 4).getUint32(0, true)
    const n = Math.max(1, Math.floor(size / (4 + dimensions * ELEMENT_BYTES[element])))
    return { n, dimensions, element, offset: 0, rowPrefix: 4 }
  }
}
