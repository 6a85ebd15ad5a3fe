/** A file that is not what its name says. The message is meant for the person who named the file. */
export class FormatError extends Error {
  override name = 'FormatError'
}

/** The longest header looked at: only npy has one of free length, and NumPy itself writes 118 bytes. */
export const MAX_HEADER_BYTES = 65_536

/** A view for reading header fields, after a check that the file has them. */
export function headerView(path: string, head: Uint8Array, bytes: number): DataView {
  if (head.length < bytes)
    throw new FormatError(`${path}: ends within its header, after ${head.length} of ${bytes} bytes`)
  return new DataView(head.buffer, head.byteOffset, head.byteLength)
}
