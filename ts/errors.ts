import type { Failure } from './native.js'

const codes = [
  'ERR_INVALID_ARGUMENT',
  'ERR_DIMENSION_MISMATCH',
  'ERR_INVALID_VECTOR',
  'ERR_DUPLICATE_ID',
  'ERR_CLOSED',
  'ERR_READ_ONLY',
  'ERR_LOCKED',
  'ERR_CORRUPT',
  'ERR_VERSION',
  'ERR_IO',
  'ERR_OUT_OF_MEMORY',
  'ERR_INTERNAL',
] as const

/** What went wrong, in a word that does not change between versions. */
export type ErrorCode = (typeof codes)[number]

/** Every error that this package makes. */
export class VicinalError extends Error {
  /** What went wrong, in a word that does not change between versions. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  static {
    // On the prototype, as the built-in errors have it, so that it is not printed as a property.
    Object.defineProperty(this.prototype, 'name', { value: 'VicinalError', configurable: true, writable: true })
  }
}

/** An argument of the wrong type or out of range. @internal */
export function invalidArgument(name: string, got: unknown, expected: string, row?: number): VicinalError {
  const inRow = row === undefined ? '' : ` in row ${row}`
  return new VicinalError('ERR_INVALID_ARGUMENT', `${name}: got ${show(got)}${inRow}, expected ${expected}`)
}

/** A call after close(). @internal */
export function closed(): VicinalError {
  return new VicinalError('ERR_CLOSED', 'the index is closed: got a call after close(), expected an open index')
}

/** What the native side reports, as one of ours. @internal */
export function fromFailure({ code, message, cause }: Failure): VicinalError {
  return new VicinalError(toCode(code), message, cause === undefined ? undefined : { cause: new Error(cause) })
}

/** What a native call threw, as one of ours. It may be of another realm, so its class says nothing. @internal */
export function fromThrown(error: unknown): unknown {
  const { code, message, cause } = Object(error) as { code?: unknown; message?: unknown; cause?: unknown }
  if (error instanceof VicinalError || typeof message !== 'string') return error
  return new VicinalError(toCode(code), message, cause === undefined ? undefined : { cause })
}

/** A value as messages show it. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  const { constructor } = value as { constructor?: { name?: unknown } }
  return typeof constructor?.name === 'string' ? `an object of class ${constructor.name}` : 'an object'
}

function toCode(code: unknown): ErrorCode {
  return codes.find((known) => known === code) ?? 'ERR_INTERNAL'
}
