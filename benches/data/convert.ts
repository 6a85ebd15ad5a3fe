// Copies a vector file of any format into a u8bin or fbin file, block by block. Arguments: the two paths.
import { open } from 'node:fs/promises'
import { VectorFile } from '../../examples/formats.js'

const BLOCK = 10_000

const [from, to] = process.argv.slice(2) as [string, string]
const source = await VectorFile.open(from)
const target = await open(to, 'w')
await target.write(new Uint8Array(Uint32Array.of(source.n, source.dimensions).buffer))
for (let first = 0; first < source.n; first += BLOCK) {
  const { buffer, byteOffset, byteLength } = await source.read(first, BLOCK)
  await target.write(new Uint8Array(buffer, byteOffset, byteLength))
}
await target.close()
await source.close()
