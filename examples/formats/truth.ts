import { readFile } from 'node:fs/promises'
import { FormatError, headerView } from './header.js'

/** The exact nearest rows of `n` queries: row numbers `ids[query · k + rank]`, nearest first. */
export interface Truth {
  n: number
  k: number
  ids: Uint32Array
  /** Absent where the file has none (ivecs). */
  distances?: Float32Array
}

/** Reads ground truth from an ibin or ivecs file. */
export async function readTruth(path: string): Promise<Truth> {
  return parseTruth(path, await readFile(path))
}

/**
 * @param path names the format by its extension: ibin (n and k as u32, n · k row numbers as u32, and, unless the file
 *   ends there, n · k distances as f32) or ivecs (every row is k and then k row numbers, all i32)
 * @throws FormatError for another extension or a size that does not fit the header
 */
export function parseTruth(path: string, bytes: Uint8Array): Truth {
  if (/\.ibin$/i.test(path)) return parseIbin(path, bytes)
  if (/\.ivecs$/i.test(path)) return parseIvecs(path, bytes)
  throw new FormatError(`${path}: unknown format of ground truth, expected ibin or ivecs`)
}

function parseIbin(path: string, bytes: Uint8Array): Truth {
  const view = headerView(path, bytes, 8)
  const n = view.getUint32(0, true)
  const k = view.getUint32(4, true)
  const block = n * k * 4
  const payload = bytes.length - 8
  if (block === 0 || (payload !== block && payload !== 2 * block)) {
    throw new FormatError(
      `${path}: has ${bytes.length} bytes, expected ${8 + 2 * block} for ${n} × ${k} row numbers and distances`,
    )
  }
  // The copy begins at an aligned address, whatever the caller's array is a view of.
  const { buffer } = Uint8Array.from(bytes.subarray(8))
  const ids = new Uint32Array(buffer, 0, n * k)
  return payload === block ? { n, k, ids } : { n, k, ids, distances: new Float32Array(buffer, block, n * k) }
}

function parseIvecs(path: string, bytes: Uint8Array): Truth {
  const k = headerView(path, bytes, 4).getUint32(0, true)
  const stride = k + 1
  const n = bytes.length / (stride * 4)
  if (k === 0 || !Number.isInteger(n)) {
    throw new FormatError(`${path}: has ${bytes.length} bytes, expected whole rows of ${k} row numbers`)
  }
  const words = new Uint32Array(Uint8Array.from(bytes).buffer)
  const ids = new Uint32Array(n * k)
  for (let row = 0; row < n; row++) {
    if (words[row * stride] !== k) {
      throw new FormatError(`${path}: row ${row} has ${words[row * stride]} entries, expected ${k}`)
    }
    ids.set(words.subarray(row * stride + 1, (row + 1) * stride), row * k)
  }
  return { n, k, ids }
}
