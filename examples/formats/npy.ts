import { FormatError, headerView, MAX_HEADER_BYTES } from './header.js'
import type { Element, Layout } from './layout.js'

const MAGIC = '\x93NUMPY'

const ELEMENTS: Readonly<Record<string, Element>> = { '|u1': 'u1', '|i1': 'i1', '<f2': 'f2', '<f4': 'f4', '<f8': 'f8' }

/**
 * Reads the header of an npy file, versions 1 to 3: magic, version, the header's length (u16 in version 1, u32 after),
 * and a Python dict literal with `descr`, `fortran_order` and `shape`.
 */
export function parseNpyHeader(path: string, head: Uint8Array): Omit<Layout, 'rowPrefix'> {
  const view = headerView(path, head, 10)
  const magic = String.fromCharCode(...head.subarray(0, MAGIC.length))
  if (magic !== MAGIC) throw new FormatError(`${path}: does not begin as an npy file does`)
  const version = head[6]!
  if (version < 1 || version > 3) throw new FormatError(`${path}: npy version ${version}, expected 1, 2 or 3`)
  const start = version === 1 ? 10 : 12
  const length = version === 1 ? view.getUint16(8, true) : headerView(path, head, 12).getUint32(8, true)
  const offset = start + length
  if (offset > MAX_HEADER_BYTES) {
    throw new FormatError(`${path}: npy header of ${length} bytes, expected at most ${MAX_HEADER_BYTES - start}`)
  }
  headerView(path, head, offset)
  return { ...parseDict(path, new TextDecoder().decode(head.subarray(start, offset))), offset }
}

function parseDict(path: string, dict: string): { n: number; dimensions: number; element: Element } {
  const descr = field(path, dict, 'descr', /'([^']*)'/)
  const element = ELEMENTS[descr]
  if (element === undefined) {
    throw new FormatError(`${path}: npy element type ${descr}, expected one of ${Object.keys(ELEMENTS).join(', ')}`)
  }
  if (field(path, dict, 'fortran_order', /(True|False)/) === 'True') {
    throw new FormatError(`${path}: npy array in Fortran order, expected C order (numpy.ascontiguousarray makes it so)`)
  }
  const shape = field(path, dict, 'shape', /\(([^)]*)\)/)
  const [n, dimensions, ...others] = shape
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  if (!Number.isSafeInteger(n) || !Number.isSafeInteger(dimensions) || others.length > 0) {
    throw new FormatError(`${path}: npy shape (${shape}), expected (rows, dimensions)`)
  }
  return { n: n!, dimensions: dimensions!, element }
}

function field(path: string, dict: string, name: string, value: RegExp): string {
  const found = new RegExp(`['"]${name}['"]\\s*:\\s*${value.source}`).exec(dict)?.[1]
  if (found === undefined) throw new FormatError(`${path}: npy header without a readable '${name}'`)
  return found
}
