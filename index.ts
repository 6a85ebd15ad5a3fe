/**
 * An embedded vector index: exact while small, a graph when it grows, one migration between them.
 *
 * @packageDocumentation
 */
export { VicinalError } from './ts/errors.js'
export { VectorIndex } from './ts/vector-index.js'
export type { ErrorCode } from './ts/errors.js'
export type {
  BatchHits,
  Dtype,
  Filter,
  Hit,
  Id,
  IdSet,
  Ids,
  IdType,
  IndexOptions,
  IndexStats,
  LoadOptions,
  Metric,
  Migration,
  OpenOptions,
  Progress,
  SearchOptions,
  Signal,
  Vector,
  VectorIndexConstructor,
  Vectors,
  Verification,
  VerifyOptions,
  Work,
} from './ts/types.js'
