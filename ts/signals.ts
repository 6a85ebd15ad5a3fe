import type { Signal } from './types.js'

/** Who follows a signal. One listener serves them all: Node.js takes more than ten on a signal for a leak. */
interface Following {
  callbacks: Set<() => void>
  listener: () => void
}

const followed = new WeakMap<Signal, Following>()

/** Calls `callback` when the signal is aborted, until {@link unfollow}. */
export function follow(signal: Signal, callback: () => void): void {
  const following = followed.get(signal)
  if (following !== undefined) {
    following.callbacks.add(callback)
    return
  }
  const callbacks = new Set([callback])
  const listener = (): void => callbacks.forEach((one) => one())
  signal.addEventListener('abort', listener)
  followed.set(signal, { callbacks, listener })
}

export function unfollow(signal: Signal, callback: () => void): void {
  const following = followed.get(signal)
  following?.callbacks.delete(callback)
  if (following?.callbacks.size !== 0) return
  followed.delete(signal)
  signal.removeEventListener('abort', following.listener)
}
