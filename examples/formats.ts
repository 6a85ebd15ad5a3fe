/** Readers of the vector and ground-truth files that benchmarks are published in. */
export { decodeRows, halfToNumber, type Rows } from './formats/decode.ts'
export { FormatError } from './formats/header.ts'
export { parseLayout, rowBytes, type Element, type Layout } from './formats/layout.ts'
export { parseTruth, readTruth, type Truth } from './formats/truth.ts'
export { readVectors, VectorFile } from './formats/vectors.ts'
