import { fromFailure, fromThrown } from './errors.js'
import { Environment, type Failure } from './native.js'
import type { CheckedWork } from './options.js'
import { follow, unfollow } from './signals.js'

/** A promise that waits for the native side. */
interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
  work: CheckedWork
  onAbort: (() => void) | undefined
  /** Why the job was told to stop: the signal's reason, or what `onProgress` threw. */
  stopped: { error: unknown } | undefined
  /** As in {@link JobOptions}. */
  atOnce: boolean
  /** Keeps an index from being collected, and so closed, while it is waited for. */
  owner: unknown
}

interface JobOptions {
  work: CheckedWork
  owner?: unknown
  /** Reject at once when aborted: there is nothing to undo, so nobody has to know how the job ends. */
  atOnce?: boolean
}

const RESULT = 0
const FAILURE = 1

/** The native side of this module in this JavaScript environment. */
export const environment = new Environment(deliver)
const pending = new Map<number, Pending>()
let lastToken = 0

/** Throws the reason of a signal that is aborted already. */
export function checkAborted({ signal }: CheckedWork): void {
  if (signal?.aborted === true) throw signal.reason
}

/** Starts a native job under a new token. The promise settles with what is delivered for it. */
export function run<T>(start: (token: number) => void, { work, owner, atOnce = false }: JobOptions): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const token = ++lastToken
    const job: Pending = {
      resolve: resolve as (value: unknown) => void,
      reject,
      work,
      onAbort: undefined,
      stopped: undefined,
      atOnce,
      owner,
    }
    const { signal } = work
    if (signal !== undefined) {
      // Before the job begins: a signal of the user's own making may throw. And it may have been aborted by code that ran
      // while the arguments were read.
      job.onAbort = () => stop(token, job, signal.reason)
      try {
        follow(signal, job.onAbort)
        checkAborted(work)
      } catch (error) {
        return fail(token, job, error)
      }
    }
    try {
      start(token)
    } catch (error) {
      return fail(token, job, fromThrown(error))
    }
    pending.set(token, job)
  })
}

/** Without effect on a job that has passed its commit point. */
function stop(token: number, job: Pending, error: unknown): void {
  if (!pending.has(token) || job.stopped !== undefined) return
  job.stopped = { error }
  const neverRuns = environment.cancel(token)
  if (neverRuns || job.atOnce) fail(token, job, error)
}

/** Called by the native side with `[token, tag, value, …]`. */
function deliver(messages: unknown[]): void {
  for (let i = 0; i < messages.length; i += 3) {
    const token = messages[i] as number
    const job = pending.get(token)
    // A job that was rejected before it ended is not waited for any more.
    if (job !== undefined) receive(token, job, messages[i + 1] as number, messages[i + 2])
  }
}

function receive(token: number, job: Pending, tag: number, value: unknown): void {
  if (tag === RESULT) {
    settle(token, job, () => job.resolve(value))
  } else if (tag === FAILURE) {
    const failure = value as Failure
    const cancelled = failure.code === 'ERR_CANCELLED' && job.stopped !== undefined
    fail(token, job, cancelled ? job.stopped?.error : fromFailure(failure))
  } else if (job.stopped === undefined) {
    report(token, job, value as [number, number, string])
  }
}

function report(token: number, job: Pending, [done, total, phase]: [number, number, string]): void {
  try {
    job.work.onProgress?.({ done, total, phase })
  } catch (error) {
    stop(token, job, error)
  } finally {
    environment.heard(token)
  }
}

function fail(token: number, job: Pending, error: unknown): void {
  settle(token, job, () => job.reject(error))
}

function settle(token: number, job: Pending, how: () => void): void {
  pending.delete(token)
  how()
  const { signal } = job.work
  if (signal === undefined || job.onAbort === undefined) return
  try {
    unfollow(signal, job.onAbort)
  } catch {
    // A signal of the user's own making; the other messages must be delivered all the same.
  }
}
