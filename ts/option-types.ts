// oxlint-disable-next-line no-unused-vars -- some are named in comments only
import type { Dtype, Filter, Id, IdType, Metric, VectorIndex, VectorIndexConstructor } from './types.js'

/** How far a call has come. */
export interface Progress {
  /** Rows. */
  done: number
  /** Rows. */
  total: number
  /** `'copy'`, `'insert'`, `'partition'`, `'leaves'`, `'merge'`, `'swap'`, `'write'`, `'read'` or `'verify'`. */
  phase: string
}

/** What is used of an `AbortSignal`. */
export interface Signal {
  readonly aborted: boolean
  readonly reason?: any
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** How to watch and stop a call that may take long. */
export interface Work {
  /** Rejects the call with the signal's reason, unless its work is already done. */
  signal?: Signal | undefined
  /**
   * Called with the progress, at most every 50 ms, and a last time with `done` = `total`, which may come sooner. If it
   * throws, the call is aborted and rejects with that error. A write waits for the return of the last call before it
   * takes effect, so it adds, replaces or saves nothing then; only where {@link VectorIndex.addSync} blocks the thread
   * meanwhile, it does not wait, and takes effect whatever the listener does.
   */
  onProgress?: ((progress: Progress) => void) | undefined
}

/** What an index is made with. */
export interface IndexOptions {
  /** Values a vector, 1 … 65,536. */
  dimensions: number
  /** What distances are, and which rows are refused: {@link Metric}. `'l2'` by default. */
  metric?: Metric | undefined
  /** What ids are: {@link Id}. `'number'` by default. */
  idType?: IdType | undefined
  /** How rows are kept: {@link Dtype}. `'f32'` by default. */
  dtype?: Dtype | undefined
  /**
   * Links chosen per node of the graph, 2 … 256; level 0 holds up to twice as many. By default it is chosen
   * from the data, starting at 16, and shown by {@link VectorIndex.stats}.
   */
  m?: number | undefined
  /**
   * Size of the candidate list of an insertion into the graph, at least 1. 200 by default. Where the graph is built in
   * bulk, a row has about a fifth as many candidates, in proportion to `m` / 16: 40 by default.
   */
  efConstruction?: number | undefined
  /** The default of {@link SearchOptions.ef}. 64 by default. */
  ef?: number | undefined
  /** The number of rows that starts the graph. 5,000 by default; 0: the first; `Infinity`: always exact. */
  threshold?: number | undefined
  /** Rows that a migration inserts and publishes at once, at least 1: the grain of steps. 1,000 by default. */
  chunkSize?: number | undefined
  /** Whether the migration into the graph starts by itself. `'auto'` by default. */
  migration?: 'auto' | 'manual' | undefined
  /**
   * 1 … 1,024 threads for this index alone. By default one pool of all available cores is shared by the
   * process's indexes.
   */
  threads?: number | undefined
  /** Where randomness starts, 0 … 2^53 − 1. The same calls and the same seed give the same graph. */
  seed?: number | undefined
  /** Rows to reserve memory for, as far as it is granted; a hint, never a cap. */
  capacity?: number | undefined
}

/** What a search is asked for. */
export interface SearchOptions<I> {
  /** Neighbors wanted, at least 1; 10 by default. `Infinity` only with `maxDistance`: all within it, exact. */
  k?: number | undefined
  /** Size of the candidate list, at least 1, then raised to `k`. The index's own by default. */
  ef?: number | undefined
  /**
   * The share of the true neighbors to find, above 0 and at most 1, instead of `ef`. The index then takes `ef` from a
   * table that it measures on its own rows, in the background, from the first such search on; until the table is there,
   * it takes one that suffices for hard data. 1 is `exact`.
   */
  recall?: number | undefined
  /** Compare with every row instead of asking the graph. */
  exact?: boolean | undefined
  /** Only neighbors whose distance is at most this. */
  maxDistance?: number | undefined
  /** Only these ids. */
  filter?: Filter<I> | undefined
  /** Rejects the search with the signal's reason. */
  signal?: Signal | undefined
}

/** What {@link VectorIndex.verify} looks at. */
export interface VerifyOptions extends Work {
  /** Rows to search for; 1,000 by default, at most all. */
  samples?: number | undefined
  /** Neighbors compared per row; 10 by default. */
  k?: number | undefined
  /** As in {@link SearchOptions.ef}. */
  ef?: number | undefined
}

/** How {@link VectorIndexConstructor.open} opens a directory. */
export interface OpenOptions extends Partial<IndexOptions> {
  /**
   * What a write that has resolved survives. `'fsync'`, the default: a crash of the process and a loss of power; calls
   * that wait at the same time share a sync. `'buffered'`: a crash of the process only. What the operating system has not
   * written by itself when the power goes, which may be the writes of half a minute, is lost, the newest first.
   */
  durability?: 'fsync' | 'buffered' | undefined
  /** Nothing in the directory is made or changed, and writes reject with `ERR_READ_ONLY`. `false` by default. */
  readOnly?: boolean | undefined
}

/** How {@link VectorIndexConstructor.load} and the like read a file. */
export interface LoadOptions extends Work {
  /** As in {@link IndexOptions.threads}; not kept in the file. */
  threads?: number | undefined
  /** The id type that the file is expected to have; otherwise `ERR_INVALID_ARGUMENT`. */
  idType?: IdType | undefined
}
