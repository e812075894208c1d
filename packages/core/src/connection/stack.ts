import { isAbortReason } from '../runtime/abort-reason.ts'
import { isError } from '../thrown.ts'

// An ORM, and the attempts at a transaction, take more frames than Node would show.
const LONGEST_STACK = 50

/**
 * Fails of this error, with the stack of whoever awaits it, not of where the answer was read: the driver does the same.
 * To be resolved with: so that only a call that fails pays for a second promise.
 */
export async function failure(error: unknown): Promise<never> {
  // By then somebody awaits this, from whom the stack is taken.
  await Promise.resolve()
  await Promise.resolve()
  if (isError(error) && !isAbortReason(error)) takeStack(error)
  throw error
}

/** Not of one that is frozen, or a Proxy that refuses. */
function takeStack(error: Error): void {
  try {
    if (Object.isExtensible(error)) Error.captureStackTrace(error, failure)
  } catch {}
}

/** The stack of whoever called this method. */
export function stackAbove(message: string, method: (...args: never[]) => unknown): string | undefined {
  const here = new Error(message)
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = LONGEST_STACK
  Error.captureStackTrace(here, method)
  Error.stackTraceLimit = stackTraceLimit
  return here.stack
}
