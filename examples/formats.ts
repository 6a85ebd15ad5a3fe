/** Readers of the vector and ground-truth files that benchmarks are published in. */
export { decodeRows, halfToNumber, type Rows } from './formats/decode.js'
export { FormatError } from './formats/header.js'
export { parseLayout, rowBytes, type Element, type Layout } from './formats/layout.js'
export { parseTruth, readTruth, type Truth } from './formats/truth.js'
export { readVectors, VectorFile } from './formats/vectors.js'
