import { isAbortReason } from '../runtime/abort-reason.ts'

// An ORM, and the attempts at a transaction, take more frames than Node would show.
const LONGEST_STACK = 50

/** Shows where the statement was called, not where its answer was read: the driver does the same. */
export function rethrowFromCaller(error: unknown): never {
  const isOurs = error instanceof Error && Object.isExtensible(error) && !isAbortReason(error)
  if (isOurs) Error.captureStackTrace(error)
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
