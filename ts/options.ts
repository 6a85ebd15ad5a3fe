import { invalidArgument } from './errors.js'
import type { NativeOptions } from './native.js'
import { checkAttached, kindOf, unshared } from './typed-arrays.js'
import type { IdType, LoadOptions, Progress, Signal } from './types.js'

/** How a call is watched and stopped, checked. */
export interface CheckedWork {
  signal: Signal | undefined
  onProgress: ((progress: Progress) => void) | undefined
}

/** What a search is asked for, checked but for the filter. */
export interface CheckedSearch extends CheckedWork {
  k: number
  /** 0: the index's own. */
  ef: number
  /** 0: none. */
  recall: number
  exact: boolean
  /** NaN: none. */
  maxDistance: number
  filter: unknown
}

type Given = Record<string, unknown>

const maxDimensions = 65_536
const maxU32 = 2 ** 32 - 1
const maxSafe = Number.MAX_SAFE_INTEGER
const indexNames = names(
  'dimensions metric idType dtype m efConstruction ef threshold chunkSize migration threads seed capacity',
)
const openNames = new Set([...indexNames, 'durability', 'readOnly'])
const searchNames = names('k ef recall exact maxDistance filter signal')
const batchNames = names('k ef recall exact maxDistance filter signal onProgress')
const workNames = names('signal onProgress')
const verifyNames = names('samples k ef signal onProgress')
const loadNames = names('threads idType signal onProgress')

const noWork: CheckedWork = { signal: undefined, onProgress: undefined }
const defaultSearch: CheckedSearch = { ...noWork, k: 10, ef: 0, recall: 0, exact: false, maxDistance: NaN, filter: undefined } // prettier-ignore

export function checkIndexOptions(options: unknown): NativeOptions {
  const native = readIndexOptions(checkObject('options', options, indexNames))
  if (native.dimensions === undefined) {
    throw invalidArgument('dimensions', undefined, wholeNumber(1, maxDimensions))
  }
  return native
}

/** Options of an index that may be there already, and how it is to be opened. */
export function checkOpen(options: unknown): { native: NativeOptions; mode: 'fsync' | 'buffered' | 'readOnly' } {
  const given = options === undefined ? {} : checkObject('options', options, openNames)
  const durability = checkOneOf('durability', given.durability, ['fsync', 'buffered']) ?? 'fsync'
  const { readOnly = false } = given
  if (typeof readOnly !== 'boolean') throw invalidArgument('readOnly', readOnly, 'a boolean')
  return { native: readIndexOptions(given), mode: readOnly ? 'readOnly' : durability }
}

function readIndexOptions(given: Given): NativeOptions {
  const { threshold } = given
  const migration = checkOneOf('migration', given.migration, ['auto', 'manual'])
  return defined({
    dimensions: checkWhole('dimensions', given.dimensions, 1, maxDimensions),
    metric: checkOneOf('metric', given.metric, ['l2', 'cosine', 'ip']),
    idType: checkIdType(given.idType),
    dtype: checkOneOf('dtype', given.dtype, ['f32', 'f16', 'i8', 'u8']),
    m: checkWhole('m', given.m, 2, 256),
    efConstruction: checkSize('efConstruction', given.efConstruction),
    ef: checkSize('ef', given.ef),
    threshold: threshold === Infinity ? Infinity : checkWhole('threshold', threshold, 0, maxSafe),
    chunkSize: checkSize('chunkSize', given.chunkSize),
    autoMigrate: migration === undefined ? undefined : migration === 'auto',
    threads: checkThreads(given.threads),
    seed: checkWhole('seed', given.seed, 0, maxSafe),
    capacity: checkWhole('capacity', given.capacity, 0, maxSafe),
  })
}

export function checkSearch(options: unknown): CheckedSearch {
  if (options === undefined) return defaultSearch
  return readSearch(checkObject('options', options, searchNames), undefined)
}

export function checkBatchSearch(options: unknown): CheckedSearch {
  if (options === undefined) return defaultSearch
  const given = checkObject('options', options, batchNames)
  const search = readSearch(given, checkListener(given.onProgress))
  if (search.k === Infinity) throw invalidArgument('k', search.k, 'a finite number in a batch')
  return search
}

export function checkWork(work: unknown): CheckedWork {
  return work === undefined ? noWork : readWork(checkObject('work', work, workNames))
}

export function checkVerify(options: unknown): CheckedWork & { samples: number; k: number; ef: number } {
  const given = options === undefined ? {} : checkObject('options', options, verifyNames)
  return {
    samples: checkWhole('samples', given.samples, 1, maxSafe) ?? 1_000,
    k: checkWhole('k', given.k, 1, maxSafe) ?? 10,
    ef: checkWhole('ef', given.ef, 1, maxSafe) ?? 0,
    ...readWork(given),
  }
}

export function checkLoad(options: unknown): CheckedWork & Pick<LoadOptions, 'threads' | 'idType'> {
  const given = options === undefined ? {} : checkObject('options', options, loadNames)
  return { threads: checkThreads(given.threads), idType: checkIdType(given.idType), ...readWork(given) }
}

export function checkMaxVectors(maxVectors: unknown): number | undefined {
  return checkWhole('maxVectors', maxVectors, 1, maxSafe)
}

export function checkBytes(bytes: unknown): Uint8Array {
  if (kindOf(bytes) !== 'Uint8Array') throw invalidArgument('bytes', bytes, 'a Uint8Array')
  checkAttached('bytes', bytes as Uint8Array)
  return unshared(bytes as Uint8Array, 'Uint8Array')
}

export function checkPath(path: unknown, name = 'path'): string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalidArgument(name, path, 'a string that is not empty and has no null character')
  }
  return path
}

function readSearch(given: Given, onProgress: CheckedWork['onProgress']): CheckedSearch {
  const { k, ef, recall, exact = false, maxDistance, filter, signal } = given
  if (typeof exact !== 'boolean') throw invalidArgument('exact', exact, 'a boolean')
  const bound = checkMaxDistance(maxDistance)
  return {
    k: k === Infinity && bound !== undefined ? Infinity : checkK(k),
    ef: checkWhole('ef', ef, 1, maxSafe) ?? 0,
    recall: checkRecall(recall, ef) ?? 0,
    exact,
    maxDistance: bound ?? NaN,
    filter,
    signal: checkSignal(signal),
    onProgress,
  }
}

function checkRecall(recall: unknown, ef: unknown): number | undefined {
  if (recall === undefined) return undefined
  if (typeof recall !== 'number' || !(recall > 0 && recall <= 1)) {
    throw invalidArgument('recall', recall, 'a number above 0, at most 1')
  }
  if (ef !== undefined) throw invalidArgument('recall', recall, 'none where ef is given')
  return recall
}

function checkMaxDistance(maxDistance: unknown): number | undefined {
  if (maxDistance === undefined) return undefined
  if (typeof maxDistance === 'number' && !Number.isNaN(maxDistance)) return maxDistance
  throw invalidArgument('maxDistance', maxDistance, 'a number')
}

function checkK(k: unknown): number {
  if (k === Infinity) throw invalidArgument('k', k, 'a whole number of at least 1, or Infinity with maxDistance')
  return checkWhole('k', k, 1, maxSafe) ?? 10
}

function readWork(given: Given): CheckedWork {
  return { signal: checkSignal(given.signal), onProgress: checkListener(given.onProgress) }
}

function checkSignal(signal: unknown): Signal | undefined {
  if (signal === undefined) return undefined
  const { aborted, addEventListener, removeEventListener } = Object(signal) as Partial<Signal>
  const methods = typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  if (typeof aborted !== 'boolean' || !methods) throw invalidArgument('signal', signal, 'an AbortSignal')
  return signal as Signal
}

function checkListener(onProgress: unknown): CheckedWork['onProgress'] {
  if (onProgress === undefined || typeof onProgress === 'function') return onProgress as CheckedWork['onProgress']
  throw invalidArgument('onProgress', onProgress, 'a function')
}

function checkIdType(idType: unknown): IdType | undefined {
  return checkOneOf('idType', idType, ['number', 'bigint', 'string'])
}

function checkThreads(threads: unknown): number | undefined {
  return checkWhole('threads', threads, 1, 1_024)
}

/** The object, whose properties are then read once each. */
function checkObject(name: string, value: unknown, allowed: ReadonlySet<string>): Given {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || kindOf(value) !== undefined) {
    throw invalidArgument(name, value, 'an object')
  }
  for (const key in value) {
    if (!allowed.has(key)) throw invalidArgument(name, key, `only ${[...allowed].join(', ')}`)
  }
  return value as Given
}

function checkWhole(name: string, value: unknown, min: number, max: number): number | undefined {
  if (value === undefined) return undefined
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
  throw invalidArgument(name, value, wholeNumber(min, max))
}

function wholeNumber(min: number, max: number): string {
  return `a whole number, ${min} … ${max}`
}

/** A size of at least 1. From 2^32 − 1 on, more than an index holds, all are the same. */
function checkSize(name: string, value: unknown): number | undefined {
  const size = checkWhole(name, value, 1, maxSafe)
  return size === undefined ? undefined : Math.min(size, maxU32)
}

function checkOneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T | undefined {
  if (value === undefined || allowed.includes(value as T)) return value as T | undefined
  throw invalidArgument(name, value, allowed.map((one) => `'${one}'`).join(', '))
}

/** Without the properties that are `undefined`, which N-API would try to convert. */
function defined(options: { [K in keyof NativeOptions]: NativeOptions[K] | undefined }): NativeOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as NativeOptions
}

function names(list: string): ReadonlySet<string> {
  return new Set(list.split(' '))
}
