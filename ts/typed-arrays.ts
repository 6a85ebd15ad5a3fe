import { VicinalError, invalidArgument } from './errors.js'

// Typed arrays are recognised by their internal slots, so that those of another realm (jest, `node:vm`) count
// and objects that only look like one do not.
const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object
const kindGetter = getter(Symbol.toStringTag)
const lengthGetter = getter('length')
const bufferGetter = getter('buffer')

// Looks at the memory before it returns an iterator, and throws where there is none.
const { keys } = prototype as { keys: () => unknown }

const constructors = { Float32Array, Float64Array, Uint8Array, Int8Array, BigUint64Array }

export type Kinds = { [K in keyof typeof constructors]: InstanceType<(typeof constructors)[K]> }
type Kind = keyof Kinds

/** The name of a typed array's class, or `undefined` for anything else. */
export function kindOf(value: unknown): string | undefined {
  return kindGetter.call(value) as string | undefined
}

/** How many elements it has now; 0 if its memory is gone. */
export function lengthOf(array: object): number {
  return lengthGetter.call(array) as number
}

/** Refuses an array whose memory is gone, as it is after a transfer: it looks like an empty one. */
export function checkAttached(name: string, array: object, row?: number): void {
  if (lengthOf(array) > 0) return
  try {
    keys.call(array)
  } catch {
    throw invalidArgument(name, array, 'an array whose memory is not detached', row)
  }
}

/** Whether its elements are bytes of something rather than values. */
export function isBuffer(array: object): boolean {
  const { constructor } = array as { constructor?: { isBuffer?: unknown } }
  return typeof constructor?.isBuffer === 'function' && constructor.isBuffer(array) === true
}

/** The array itself, of the given class, or a copy if another thread could write to it while it is read. */
export function unshared<K extends Kind>(array: object, kind: K): Kinds[K] {
  const buffer = Object.prototype.toString.call(bufferGetter.call(array))
  if (buffer !== '[object SharedArrayBuffer]') return array as Kinds[K]
  const Constructor = constructors[kind] as unknown as new (source: object) => Kinds[K]
  return new Constructor(array)
}

/** A new array, or `ERR_OUT_OF_MEMORY`. */
export function allocate<T>(Constructor: (new (length: number) => T) & { name: string }, length: number): T {
  try {
    return new Constructor(length)
  } catch (cause) {
    const message = `out of memory: got a refusal for a ${Constructor.name} of ${length}, expected it to be granted`
    throw new VicinalError('ERR_OUT_OF_MEMORY', message, { cause })
  }
}

function getter(name: PropertyKey): () => unknown {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get
  if (get === undefined) throw new Error(`%TypedArray%.prototype has no getter ${String(name)}`)
  return get
}
