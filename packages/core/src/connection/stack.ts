/** Shows where the statement was called, not where its answer was read: the driver does the same. */
export function rethrowFromCaller(error: unknown): never {
  // The reason of an abort is the aborter's.
  if (error instanceof Error && !(error instanceof DOMException)) Error.captureStackTrace(error)
  throw error
}
