import { isAbortReason } from '../runtime/abort.ts'
import { isError } from '../thrown.ts'

// An ORM, and the retries of a transaction, take more frames than Node shows.
const LONGEST_STACK = 50

/**
 * Rejects with this error; its stack is captured where the caller awaits, as the driver does, and not where the answer was
 * read. A promise is resolved with this one, so that only a call that fails pays for a second promise.
 */
export async function failure(error: unknown): Promise<never> {
  // After two ticks the caller awaits this promise, and V8 knows its stack.
  await Promise.resolve()
  await Promise.resolve()
  if (isError(error) && !isAbortReason(error)) captureStack(error)
  throw error
}

/** The error may be frozen, or a Proxy that throws. */
function captureStack(error: Error): void {
  try {
    if (Object.isExtensible(error)) Error.captureStackTrace(error, failure)
  } catch {}
}

/** The stack of the code that called this method. */
export function stackAbove(message: string, method: (...args: never[]) => unknown): string | undefined {
  const here = new Error(message)
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = LONGEST_STACK
  Error.captureStackTrace(here, method)
  Error.stackTraceLimit = stackTraceLimit
  return here.stack
}
