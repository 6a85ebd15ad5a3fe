import { closed, fromFailure, fromThrown, invalidArgument } from './errors.js'
import { prepared, toFilter, toPrepared } from './filters.js'
import { Scratch, toHits, type NativeHits } from './hits.js'
import { codecs, type IdCodec, type IdList } from './ids.js'
import { checkAborted, environment, run } from './jobs.js'
import { NativeIndex, type NativeIdSet } from './native.js'
import * as options from './options.js'
import type * as types from './types.js'
import type { BatchHits, Dtype, Hit, Id, IdSet, IdType, Ids, IndexStats, Metric, Migration } from './types.js'
import type { SearchOptions, Vector, Vectors, Verification, VerifyOptions, Work } from './types.js'
import { toQuery, toRows, type Rows } from './vectors.js'

/** Ids that `keys()` fetches at once. */
const keysBlock = 1_024

const noWork = options.checkWork(undefined)

// oxlint-disable-next-line no-shadow -- by its name users know it
const Index = class VectorIndex<I extends Id> implements types.VectorIndex<I> {
  readonly dimensions: number
  readonly metric: Metric
  readonly idType: IdType
  readonly dtype: Dtype
  readonly #native: NativeIndex
  readonly #codec: IdCodec
  readonly #scratch: Scratch
  #closing: Promise<void> | undefined

  constructor(given: types.IndexOptions | NativeIndex) {
    this.#native = given instanceof NativeIndex ? given : make(given)
    const { dimensions, metric, idType, dtype } = this.#native.describe()
    this.dimensions = dimensions
    this.metric = metric as Metric
    this.idType = idType as IdType
    this.dtype = dtype as Dtype
    this.#codec = codecs[this.idType]
    this.#scratch = new Scratch(this.#native, dimensions, this.idType)
  }

  static async load<I extends Id>(path: string, given?: types.LoadOptions): Promise<types.VectorIndex<I>> {
    const file = options.checkPath(path)
    return read<I>((token, ...rest) => NativeIndex.load(environment, token, file, ...rest), given)
  }

  static async view<I extends Id>(path: string, given?: types.LoadOptions): Promise<types.VectorIndex<I>> {
    const file = options.checkPath(path)
    return read<I>((token, ...rest) => NativeIndex.view(environment, token, file, ...rest), given)
  }

  static async fromBytes<I extends Id>(bytes: Uint8Array, given?: types.LoadOptions): Promise<types.VectorIndex<I>> {
    const checked = options.checkBytes(bytes)
    return read<I>((token, ...rest) => NativeIndex.load(environment, token, checked, ...rest), given)
  }

  static async open<I extends Id>(directory: string, given?: types.OpenOptions): Promise<types.VectorIndex<I>> {
    const checked = options.checkPath(directory, 'directory')
    const { native: asked, mode } = options.checkOpen(given)
    const open = (token: number) => NativeIndex.open(environment, token, checked, asked, mode)
    const native = await run<NativeIndex>(open, { work: noWork })
    native.account()
    return new Index<I>(native)
  }

  async add(ids: Ids<I>, vectors: Vectors, given?: Work): Promise<void> {
    const work = this.#begin(given)
    const [{ native }, { values }] = this.#batch(ids, vectors)
    await this.#write<void>((token) => this.#native.add(token, native, values, work.onProgress !== undefined), work)
  }

  async upsert(ids: Ids<I>, vectors: Vectors, given?: Work): Promise<void> {
    const work = this.#begin(given)
    const [{ native }, { values }] = this.#batch(ids, vectors)
    await this.#write<void>((token) => this.#native.upsert(token, native, values, work.onProgress !== undefined), work)
  }

  addSync(ids: Ids<I>, vectors: Vectors): void {
    this.#checkOpen()
    const [{ native }, { values }] = this.#batch(ids, vectors)
    this.#sync(() => this.#native.addSync(native, values))
    this.#native.account()
  }

  async remove(ids: Ids<I> | I): Promise<number> {
    this.#checkOpen()
    const many = typeof ids === 'object' ? ids : [this.#codec.one(ids)]
    const { native } = this.#codec.many('ids', many)
    return this.#write<number>((token) => this.#native.remove(token, native))
  }

  async clear(): Promise<void> {
    this.#checkOpen()
    await this.#write<void>((token) => this.#native.clear(token))
  }

  get(id: I): Float32Array | undefined {
    this.#checkOpen()
    const checked = this.#codec.one(id)
    return this.#sync(() => this.#native.get(checked)) ?? undefined
  }

  async getMany(ids: Ids<I>): Promise<{ vectors: Float32Array; found: Uint8Array }> {
    this.#checkOpen()
    const { native } = this.#codec.many('ids', ids)
    const rows = this.#run<[Float32Array, Uint8Array]>((token) => this.#native.getMany(token, native))
    const [vectors, found] = await rows
    return { vectors, found }
  }

  has(id: I): boolean {
    this.#checkOpen()
    const checked = this.#codec.one(id)
    return this.#sync(() => this.#native.has(checked))
  }

  keys(): IterableIterator<I> {
    this.#checkOpen()
    const cursor = this.#sync(() => this.#native.keys())
    return pull(() => this.#sync(() => cursor.nextBlock(keysBlock)) as ArrayLike<Id> as ArrayLike<I>)
  }

  async search(query: Vector, given?: SearchOptions<I>): Promise<Hit<I>[]> {
    const search = this.#beginSearch(options.checkSearch(given))
    const { set, ids } = toFilter(search.filter, this.#native, this.#codec)
    const values = toQuery(query, this.#scratch.query)
    const request = this.#scratch.request(search)
    return this.#hits((token) => this.#native.search(token, values, request, set, ids), search)
  }

  searchSync(query: Vector, given?: SearchOptions<I>): Hit<I>[] {
    const search = this.#beginSearch(options.checkSearch(given))
    const set = toPrepared(search.filter, this.#native, this.#codec)
    return this.#scratch.search<I>(toQuery(query, this.#scratch.query), search, set)
  }

  async searchById(id: I, given?: SearchOptions<I>): Promise<Hit<I>[]> {
    const search = this.#beginSearch(options.checkSearch(given))
    const checked = this.#codec.one(id)
    const { set, ids } = toFilter(search.filter, this.#native, this.#codec)
    const request = this.#scratch.request(search)
    return this.#hits((token) => this.#native.searchById(token, checked, request, set, ids), search)
  }

  async searchBatch(queries: Vectors, given?: SearchOptions<I> & Work): Promise<BatchHits> {
    const search = this.#beginSearch(options.checkBatchSearch(given))
    const { values } = toRows('queries', queries, this.dimensions)
    const filter = toFilter(search.filter, this.#native, this.#codec)
    const request = this.#scratch.request(search)
    const progress = search.onProgress !== undefined
    const [ids, distances, counts] = await this.#run<[BatchHits['ids'], Float32Array, Uint32Array]>(
      (token) => this.#native.searchBatch(token, values, request, filter.set, filter.ids, progress),
      search,
      true,
    )
    return { ids, distances, counts }
  }

  async idSet(ids: Ids<I>): Promise<IdSet<I>> {
    this.#checkOpen()
    const { native } = this.#codec.many('ids', ids)
    return prepared<I>(await this.#run<NativeIdSet>((token) => this.#native.idSet(token, native)), this.#native)
  }

  get size(): number {
    return this.#native.size
  }

  get migration(): Migration {
    const { error, ...migration } = this.#sync(() => this.#native.migration)
    return error === undefined ? migration : { ...migration, error: fromFailure(error) }
  }

  async migrate(given?: Work): Promise<{ vectors: number; seconds: number }> {
    const work = this.#begin(given)
    const native = (token: number) => this.#native.migrate(token, work.onProgress !== undefined)
    const [vectors, seconds] = await this.#write<[number, number]>(native, work, true)
    return { vectors, seconds }
  }

  async migrateStep(maxVectors?: number): Promise<number> {
    this.#checkOpen()
    const rows = options.checkMaxVectors(maxVectors)
    return this.#write<number>((token) => this.#native.migrateStep(token, rows))
  }

  async compact(given?: Work): Promise<void> {
    const work = this.#begin(given)
    await this.#write<void>((token) => this.#native.compact(token, work.onProgress !== undefined), work, true)
  }

  pauseMigration(): void {
    this.#checkOpen()
    this.#sync(() => this.#native.pauseMigration())
  }

  resumeMigration(): void {
    this.#checkOpen()
    this.#sync(() => this.#native.resumeMigration())
  }

  stats(): IndexStats {
    this.#checkOpen()
    const { checkpointError, ...stats } = this.#sync(() => this.#native.stats())
    const all = { ...stats, migration: this.migration }
    return checkpointError === undefined ? all : { ...all, checkpointError: fromFailure(checkpointError) }
  }

  async verify(given?: VerifyOptions): Promise<Verification> {
    this.#checkOpen()
    const { samples, k, ef, ...work } = options.checkVerify(given)
    checkAborted(work)
    const found = await this.#run<[number, number, number]>(
      (token) => this.#native.verify(token, samples, k, ef, work.onProgress !== undefined),
      work,
      true,
    )
    return { recall: found[0], unreachable: found[1], samples: found[2] }
  }

  async save(path: string, given?: Work): Promise<void> {
    const work = this.#begin(given)
    const file = options.checkPath(path)
    await this.#run<void>((token) => this.#native.save(token, file, work.onProgress !== undefined), work)
  }

  async toBytes(given?: Work): Promise<Uint8Array> {
    const work = this.#begin(given)
    return this.#run<Uint8Array>((token) => this.#native.toBytes(token, work.onProgress !== undefined), work)
  }

  async flush(): Promise<void> {
    this.#checkOpen()
    await this.#run<void>((token) => this.#native.flush(token))
  }

  async checkpoint(given?: Work): Promise<void> {
    const work = this.#begin(given)
    await this.#run<void>((token) => this.#native.checkpoint(token, work.onProgress !== undefined), work)
  }

  close(): Promise<void> {
    this.#closing ??= this.#write<void>((token) => this.#native.close(token))
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  [Symbol.dispose](): void {
    // Nobody hears of a checkpoint that fails; what was acknowledged is in the log.
    this.close().catch(() => undefined)
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closed()
  }

  #begin(given: Work | undefined): options.CheckedWork {
    this.#checkOpen()
    const work = options.checkWork(given)
    checkAborted(work)
    return work
  }

  #beginSearch(search: options.CheckedSearch): options.CheckedSearch {
    this.#checkOpen()
    checkAborted(search)
    return search
  }

  #batch(ids: Ids<I>, vectors: Vectors): [IdList, Rows] {
    const list = this.#codec.many('ids', ids)
    const rows = toRows('vectors', vectors, this.dimensions, this.dtype === 'f32' ? Float32Array : Float64Array)
    if (list.count !== rows.count)
      throw invalidArgument('ids.length', list.count, `the number of vectors, ${rows.count}`)
    return [list, rows]
  }

  #run<T>(start: (token: number) => void, work = noWork, atOnce = false): Promise<T> {
    return run<T>(start, { work, owner: this, atOnce })
  }

  async #hits(start: (token: number) => void, search: options.CheckedSearch): Promise<Hit<I>[]> {
    return toHits<I>(await run<NativeHits>(start, { work: search, owner: this, atOnce: true }))
  }

  /** Runs what may change how much memory the index takes. */
  async #write<T>(start: (token: number) => void, work = noWork, atOnce = false): Promise<T> {
    try {
      return await this.#run<T>(start, work, atOnce)
    } finally {
      this.#native.account()
    }
  }

  #sync<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw fromThrown(error)
    }
  }
}

/** An index of vectors: exact while it is small, a graph when it grows. */
export type VectorIndex<I extends Id = number> = types.VectorIndex<I>
export const VectorIndex = Index as unknown as types.VectorIndexConstructor

/** How an index comes from a file. */
type Read = (token: number, threads: number | undefined, idType: IdType | undefined, progress: boolean) => void

async function read<I extends Id>(start: Read, given: types.LoadOptions | undefined): Promise<types.VectorIndex<I>> {
  const { threads, idType, ...work } = options.checkLoad(given)
  checkAborted(work)
  const native = await run<NativeIndex>((token) => start(token, threads, idType, work.onProgress !== undefined), {
    work,
    atOnce: true,
  })
  native.account()
  return new Index<I>(native)
}

function make(given: types.IndexOptions): NativeIndex {
  const checked = options.checkIndexOptions(given)
  try {
    return new NativeIndex(environment, checked)
  } catch (error) {
    throw fromThrown(error)
  }
}

function* pull<I>(next: () => ArrayLike<I>): IterableIterator<I> {
  for (let block = next(); block.length > 0; block = next()) {
    for (let i = 0; i < block.length; i++) yield block[i] as I
  }
}
