import { propertyOf } from '../thrown.ts'

/** Seen by every copy of the package that may be loaded. */
const STALE = Symbol.for('holdfast.staleStatement')

/**
 * Notes that this error only says that a prepared statement was stale: nothing was executed, and the statement has been
 * forgotten since.
 */
export function noteStale(error: object): void {
  if (Object.isExtensible(error)) Object.defineProperty(error, STALE, { value: true })
}

/** Whether the same work will succeed in another attempt, where the statement is prepared once more. */
export function isStale(error: unknown): boolean {
  return propertyOf(error, STALE) === true
}
