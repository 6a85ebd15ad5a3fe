import type { VicinalError } from './errors.js'
import type { IndexOptions, LoadOptions, OpenOptions, SearchOptions, VerifyOptions, Work } from './option-types.js'

export type * from './option-types.js'

declare global {
  /** For consumers whose `lib` does not have them yet. */
  interface SymbolConstructor {
    readonly dispose: unique symbol
    readonly asyncDispose: unique symbol
  }
}

/**
 * How far apart two vectors are; smaller is always nearer. `'l2'`: the squared Euclidean distance, in the square of the
 * values' unit. `'cosine'`: 1 − cos, in 0 … 2, without a unit; a zero vector is refused with `ERR_INVALID_VECTOR`.
 * `'ip'`: the negated inner product, which may be below 0.
 */
export type Metric = 'l2' | 'cosine' | 'ip'

/** A row's name: a safe integer, a `bigint` of 0 … 2^64 − 1, or a string of well-formed Unicode. */
export type Id = number | bigint | string

/** The type of an index's ids, as {@link IndexOptions.idType} names it. */
export type IdType = 'number' | 'bigint' | 'string'

/** One vector. A `Buffer` is refused: its bytes are not values. */
export type Vector = Float32Array | Float64Array | Uint8Array | Int8Array | readonly number[]

/** Many vectors: one flat array, row after row, or an array of vectors. */
export type Vectors = Float32Array | Float64Array | Uint8Array | Int8Array | readonly Vector[]

/** Many ids. */
export type Ids<I> = I extends number
  ? readonly number[] | Float64Array | Int32Array | Uint32Array
  : I extends bigint
    ? readonly bigint[] | BigUint64Array
    : readonly string[]

/** A neighbor of a query. */
export interface Hit<I> {
  id: I
  /** In the index's {@link Metric}; finite or +Infinity. */
  distance: number
}

declare const members: unique symbol

/**
 * A prepared filter, made by {@link VectorIndex.idSet}. It follows the changes of its index: an id that is
 * unknown matches once it is added. On another index it is refused with `ERR_INVALID_ARGUMENT`.
 */
export interface IdSet<I> {
  readonly [members]: I
}

/** The ids that may be found. All but an {@link IdSet} is converted at every call. */
export type Filter<I> = ReadonlySet<I> | Ids<I> | IdSet<I>

/**
 * How the values of rows are kept. `'f32'`: 4 bytes, single precision. `'f16'`: 2 bytes, rounded to half precision; what
 * would be 65,520 or more in magnitude is refused. `'i8'`, `'u8'`: a byte, whole numbers of −128 … 127 or 0 … 255 only;
 * what is no such number is refused. What is refused is `ERR_INVALID_VECTOR`. Queries may be any finite floats, and
 * distances are those of the rows as they are kept.
 */
export type Dtype = 'f32' | 'f16' | 'i8' | 'u8'

/** What {@link VectorIndex.searchBatch} returns. The answer to query `i` starts at `i * k`. */
export interface BatchHits {
  /** By the index's id type. What is not real is 0, 0n or `''`. */
  ids: Float64Array | BigUint64Array | string[]
  /** What is not real is `Infinity`. */
  distances: Float32Array
  /** How many of each query's `k` are real. */
  counts: Uint32Array
}

/** Where the migration from exact search into the graph stands. */
export interface Migration {
  /**
   * `'exact'`: there is no graph. `'migrating'`: work runs or is queued. `'paused'`: rows wait and nothing
   * runs. `'graph'`: nothing waits.
   */
  state: 'exact' | 'migrating' | 'paused' | 'graph'
  /** Live rows in the graph. */
  migrated: number
  /** Live rows. */
  total: number
  /** How the graph was begun: built of many rows at once, or by inserting its first ones. */
  method?: 'insert' | 'bulk'
  /** What stopped the migration in the background. The next `migrate()` rejects with it. */
  error?: VicinalError
}

/** The figures of an index. */
export interface IndexStats {
  /** Rows that a search may return. */
  live: number
  /** Rows that were removed and still take their place. */
  removed: number
  /** Live rows that are not in the graph: found by an exact scan or, where they are many, by lists. */
  tail: number
  /** Nodes on each level of the graph, level 0 first. */
  levels: number[]
  /** Links a node of level 0 has on average, taken from at most 10,000 rows, evenly spread; 0 without a graph. */
  meanDegree: number
  /** Links chosen per node: what was given, or chosen when the graph was begun. */
  m: number
  /** Bytes of memory in use, by purpose. What is reserved beyond it does not count. */
  bytes: { vectors: number; codes: number; links: number; ids: number; total: number }
  /** The instruction set that distances are computed with: `'scalar'`, `'avx2'`, `'avx512'` or `'neon'`. */
  simd: string
  /** Threads that build, and as many that search; shared with other indexes unless the index has its own. */
  threads: number
  /** Where the migration into the graph stands. */
  migration: Migration
  /**
   * Why the last checkpoint that was made by itself has failed, until one succeeds. No write is lost by it, but the log
   * grows on; it is tried again when the log has grown by 64 MiB, or by {@link VectorIndex.checkpoint}.
   */
  checkpointError?: VicinalError
}

/** What {@link VectorIndex.verify} found. */
export interface Verification {
  /** The share of exact neighbors that searches found, 0 … 1; 1 for an empty index. */
  recall: number
  /** Live rows that no search of the graph can reach. */
  unreachable: number
  /** Rows searched for. */
  samples: number
}

/**
 * An index of vectors: exact while it is small, a graph when it grows.
 *
 * Every method may fail with `ERR_INVALID_ARGUMENT` and, after {@link VectorIndex.close}, with `ERR_CLOSED`;
 * every write also with `ERR_OUT_OF_MEMORY`, and with `ERR_INTERNAL` once a bug of this package has shown.
 * Asynchronous methods reject, the others throw. A call that fails has changed nothing. Arguments are copied
 * before an asynchronous method returns its promise. Writes take effect in the order of the calls.
 */
export interface VectorIndex<I extends Id = number> {
  /**
   * Adds rows, all or none. They are found by searches as soon as the promise has resolved.
   *
   * Rejects with `ERR_DUPLICATE_ID` if an id exists or stands twice, `ERR_DIMENSION_MISMATCH`, or
   * `ERR_INVALID_VECTOR` for values that are not finite, that the index's {@link Dtype} cannot keep, and, under cosine,
   * for a vector that is zero as it is kept.
   */
  add(ids: Ids<I>, vectors: Vectors, work?: Work): Promise<void>
  /** As {@link VectorIndex.add}, but replaces the rows of ids that exist. They then count as newly inserted. */
  upsert(ids: Ids<I>, vectors: Vectors, work?: Work): Promise<void>
  /** {@link VectorIndex.add} on the JavaScript thread, after the writes called before. */
  addSync(ids: Ids<I>, vectors: Vectors): void
  /** Removes rows; resolves with how many existed. */
  remove(ids: Ids<I> | I): Promise<number>
  /** Removes all rows. */
  clear(): Promise<void>
  /** A copy of the row as it is stored, or `undefined`. */
  get(id: I): Float32Array | undefined
  /** Rows in the order of the ids, zeros where there is none, and for each id 1 if it was found, else 0. */
  getMany(ids: Ids<I>): Promise<{ vectors: Float32Array; found: Uint8Array }>
  /** Whether there is a row of that id. */
  has(id: I): boolean
  /** The ids that are there at this call, in the order of insertion. */
  keys(): IterableIterator<I>

  /** The nearest rows, nearest first. Rejects with `ERR_DIMENSION_MISMATCH` or `ERR_INVALID_VECTOR`. */
  search(query: Vector, options?: SearchOptions<I>): Promise<Hit<I>[]>
  /** {@link VectorIndex.search} on the JavaScript thread. */
  searchSync(query: Vector, options?: SearchOptions<I>): Hit<I>[]
  /** The neighbors of a row, without the row. Rejects with `ERR_INVALID_ARGUMENT` if there is none of that id. */
  searchById(id: I, options?: SearchOptions<I>): Promise<Hit<I>[]>
  /** Many searches at once, on all threads. `k` must be finite. */
  searchBatch(queries: Vectors, options?: SearchOptions<I> & Work): Promise<BatchHits>
  /** Prepares a filter that is used more than once. */
  idSet(ids: Ids<I>): Promise<IdSet<I>>

  /** Rows. Readable after {@link VectorIndex.close}, as are the four below. */
  readonly size: number
  /** Values a vector. */
  readonly dimensions: number
  /** What distances are. */
  readonly metric: Metric
  /** The type of the ids. Ids of another type are refused with `ERR_INVALID_ARGUMENT` everywhere. */
  readonly idType: IdType
  /** How rows are kept. */
  readonly dtype: Dtype
  /** Where the migration into the graph stands. */
  readonly migration: Migration
  /**
   * Brings all rows that wait into the graph, giving way to searches; below the threshold there is nothing to
   * do. If a sixteenth of the rows came since the last call, the graph is built anew of all of them. Callers join
   * one run, and a signal rejects its own caller only. Resumes a paused migration. Rejects with what stopped the
   * migration in the background, if something did.
   */
  migrate(work?: Work): Promise<{ vectors: number; seconds: number }>
  /** Inserts at most so many rows, by default `chunkSize`; resolves with how many still wait. */
  migrateStep(maxVectors?: number): Promise<number>
  /**
   * Stops the migration within a moment; what of the chunk at hand is not published waits with the rest. A pending
   * {@link VectorIndex.migrate} stays pending.
   */
  pauseMigration(): void
  /** Undoes {@link VectorIndex.pauseMigration}. */
  resumeMigration(): void
  /** The figures of the index as it is now: counts of rows, nodes and links, and bytes. Throws `ERR_CLOSED`. */
  stats(): IndexStats
  /** Measures the recall of the index on its own rows, against an exact scan. */
  verify(options?: VerifyOptions): Promise<Verification>

  /**
   * Writes the index with all the writes called before, and every option but `threads`, to a file. Until it
   * is complete, a file that is there stays as it is. Rejects with `ERR_IO`.
   */
  save(path: string, work?: Work): Promise<void>
  /** The bytes that {@link VectorIndex.save} would write: for stores of objects, and to be bundled. */
  toBytes(work?: Work): Promise<Uint8Array>
  /**
   * Makes the writes called before durable, as {@link OpenOptions.durability} `'fsync'` does each of them. Only on an
   * index of {@link VectorIndexConstructor.open}; on others it rejects with `ERR_INVALID_ARGUMENT`.
   */
  flush(): Promise<void>
  /**
   * Writes a snapshot of an index of {@link VectorIndexConstructor.open} into its directory and drops the log of the
   * writes before it, so that opening does not do them again. Searches and writes go on meanwhile. It also happens by
   * itself, when the log is longer than half of the snapshot and than 64 MiB, and in {@link VectorIndex.close}.
   */
  checkpoint(work?: Work): Promise<void>
  /**
   * Gives back what removed and replaced rows take: their memory, links and ids. The index is made anew of its live rows, as
   * if it were built of them at once, in the background and with searches and writes going on; it takes memory for the
   * rows once more until it is done. Until then all is as before, also if it is aborted or fails. Rows that wait to be moved
   * by hand go on to wait. The directory of an opened index becomes smaller with the next checkpoint.
   *
   * With `migration: 'auto'` it also happens by itself, when an eighth of the rows, and at least 1,024, is removed. While it
   * has fallen behind, {@link VectorIndex.upsert} and {@link VectorIndex.remove} wait for it: where four times as many rows
   * are removed as are live, or as 4,096 if fewer are. {@link VectorIndex.close} ends it: it rejects with `ERR_CLOSED`.
   */
  compact(work?: Work): Promise<void>
  /**
   * Ends the use of the index when the calls made before are over. A migration in the background stops, and
   * a pending {@link VectorIndex.migrate} or {@link VectorIndex.compact} rejects with `ERR_CLOSED`. May be called again.
   * An index of {@link VectorIndexConstructor.open} makes a last checkpoint and unlocks its directory; if the checkpoint
   * fails, this rejects, the index is closed all the same and nothing that was acknowledged is lost.
   */
  close(): Promise<void>
  /** {@link VectorIndex.close}. */
  [Symbol.asyncDispose](): Promise<void>
  /** {@link VectorIndex.close}, without waiting for it. */
  [Symbol.dispose](): void
}

/** The class of {@link VectorIndex}. */
export interface VectorIndexConstructor {
  /**
   * Throws `ERR_INVALID_ARGUMENT` for an option that is unknown or out of range, and `ERR_OUT_OF_MEMORY` where the
   * system refuses a thread.
   */
  new (options: IndexOptions & { idType?: 'number' | undefined }): VectorIndex<number>
  new (options: IndexOptions & { idType: 'bigint' }): VectorIndex<bigint>
  new (options: IndexOptions & { idType: 'string' }): VectorIndex<string>
  readonly prototype: VectorIndex<Id>
  /**
   * Reads an index from a file that {@link VectorIndex.save} wrote. Rejects with `ERR_IO`, `ERR_CORRUPT`,
   * `ERR_VERSION` or `ERR_OUT_OF_MEMORY`.
   */
  load<I extends Id = number>(path: string, options?: LoadOptions): Promise<VectorIndex<I>>
  /** As {@link VectorIndexConstructor.load}, from the bytes of a file or of {@link VectorIndex.toBytes}. They are copied. */
  fromBytes<I extends Id = number>(bytes: Uint8Array, options?: LoadOptions): Promise<VectorIndex<I>>
  /**
   * Searches the file that {@link VectorIndex.save} wrote where it is: it is mapped into memory and need not be read as a
   * whole, so the first answer comes at once, and processes share it. What would change the index, migrations included,
   * fails with `ERR_READ_ONLY`. Damage is found when it is touched: any call that touches it fails with `ERR_CORRUPT`, and
   * calls that do not go on. Rejects as `load` does.
   *
   * The index keeps the file as it is now, also if another takes its place, as with `save` (Windows does not let it). But who cuts the file off while
   * it is viewed, or writes into it, ends the process or gets wrong answers.
   */
  view<I extends Id = number>(path: string, options?: LoadOptions): Promise<VectorIndex<I>>
  /**
   * Opens the index that lives in a directory, or makes one there; then `dimensions` are required. Each write is in the
   * directory before it is seen or acknowledged, so that all that has resolved is there again after a crash, whether or
   * not the index was closed. Options are stored when the index is made; what is given later must agree with them, but for
   * `threads` and `capacity`, which hold for this opening.
   *
   * Rejects with `ERR_INVALID_ARGUMENT` for options that differ, with `ERR_LOCKED` while another index, of this process or
   * another, has the directory open to write, with `ERR_CORRUPT` for a directory that is damaged, which is left as it is,
   * and with `ERR_VERSION`, `ERR_IO` or `ERR_OUT_OF_MEMORY`. Once a sync has failed, writes reject with `ERR_IO` until the
   * directory is opened again.
   */
  open<I extends Id = number>(directory: string, options?: OpenOptions): Promise<VectorIndex<I>>
}
