import { isAbortReason } from '../runtime/abort-reason.ts'

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
  const isOurs = error instanceof Error && Object.isExtensible(error) && !isAbortReason(error)
  if (isOurs) Error.captureStackTrace(error, failure)
  throw error
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
