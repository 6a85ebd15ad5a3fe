import type { ExecutionContext } from 'ava'
import { VicinalError, type ErrorCode } from 'vicinal'

/** Checks that the promise is rejected, and that nothing was thrown before there was one. */
export async function rejects(
  t: ExecutionContext,
  call: () => Promise<unknown>,
  code: ErrorCode,
  message: RegExp = /got .*expected /s,
): Promise<VicinalError> {
  const error = await t.throwsAsync(call, { instanceOf: VicinalError, code, message })
  checkShape(t, error, code)
  return error as VicinalError
}

export function throws(
  t: ExecutionContext,
  call: () => unknown,
  code: ErrorCode,
  message: RegExp = /got .*expected /s,
): VicinalError {
  const error = t.throws(call, { instanceOf: VicinalError, code, message })
  checkShape(t, error, code)
  return error as VicinalError
}

function checkShape(t: ExecutionContext, error: Error, code: ErrorCode): void {
  t.true(error instanceof Error)
  t.is(error.name, 'VicinalError')
  t.is((error as VicinalError).code, code)
}

/** Checks that the promise is rejected with this very value. */
export async function rejectsWith(t: ExecutionContext, promise: Promise<unknown>, reason: unknown): Promise<void> {
  const outcome = await promise.then(
    () => ({ resolved: true }),
    (error: unknown) => ({ error }),
  )
  t.true('error' in outcome, 'rejected')
  t.is((outcome as { error: unknown }).error, reason)
}
