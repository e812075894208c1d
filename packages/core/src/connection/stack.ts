import { isAbortReason } from '../runtime/abort-reason.ts'

/** Shows where the statement was called, not where its answer was read: the driver does the same. */
export function rethrowFromCaller(error: unknown): never {
  const isOurs = error instanceof Error && Object.isExtensible(error) && !isAbortReason(error)
  if (isOurs) Error.captureStackTrace(error)
  throw error
}
