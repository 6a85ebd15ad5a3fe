import { open, type FileHandle } from 'node:fs/promises'
import { decodeRows, emptyRows, type Rows } from './decode.js'
import { FormatError, MAX_HEADER_BYTES } from './header.js'
import { parseLayout, rowBytes, type Layout } from './layout.js'

/**
 * An open vector file (u8bin, fbin, f16bin, fvecs, bvecs or npy) from which ranges of rows are read, so that a file
 * larger than the memory can be streamed.
 */
export class VectorFile {
  readonly path: string
  readonly layout: Layout
  readonly #handle: FileHandle

  private constructor(path: string, layout: Layout, handle: FileHandle) {
    this.path = path
    this.layout = layout
    this.#handle = handle
  }

  /** @throws FormatError when the file is not what its extension says; the system's error when it cannot be opened */
  static async open(path: string): Promise<VectorFile> {
    const handle = await open(path)
    try {
      const { size } = await handle.stat()
      const head = await readBytes(path, handle, 0, Math.min(size, MAX_HEADER_BYTES))
      return new VectorFile(path, parseLayout(path, head, size), handle)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  get n(): number {
    return this.layout.n
  }

  get dimensions(): number {
    return this.layout.dimensions
  }

  /** Rows `first` to `first + count − 1`, clipped at the end of the file, one after the other. */
  async read(first: number, count: number): Promise<Rows> {
    const stride = rowBytes(this.layout)
    const rows = Math.max(0, Math.min(count, this.n - first))
    const bytes = await readBytes(this.path, this.#handle, this.layout.offset + first * stride, rows * stride)
    return decodeRows(this.path, this.layout, bytes, first)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** Reads a whole vector file into memory. */
export async function readVectors(path: string): Promise<{ rows: Rows; n: number; dimensions: number }> {
  const file = await VectorFile.open(path)
  try {
    const { n, dimensions, layout } = file
    const rows = emptyRows(layout.element, n * dimensions)
    // In blocks, because one read of a file handle ends at 2 GiB.
    for (let first = 0; first < n; first += 16_384) rows.set(await file.read(first, 16_384), first * dimensions)
    return { rows, n, dimensions }
  } finally {
    await file.close()
  }
}

async function readBytes(path: string, handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  const { bytesRead } = await handle.read(bytes, 0, length, position)
  if (bytesRead !== length) {
    throw new FormatError(`${path}: ended ${length - bytesRead} bytes early at byte ${position + bytesRead}`)
  }
  return bytes
}
