import { codeOf, propertyOf } from '../thrown.ts'
import { poolerMeaning } from './pooler-words.ts'

/**
 * Marks an error of the pool's own that ends a statement because it took too long. A registered symbol, since several copies
 * of the package may be loaded.
 */
const TOO_SLOW: unique symbol = Symbol.for('holdfast.tooSlow')

/** query_canceled: by `statement_timeout`, or by a user. And the timeouts of a transaction that is idle, or takes too long. */
const CODES: ReadonlySet<unknown> = new Set(['57014', '25P03', '25P04'])

/** Marks this error: what it ends has taken too long. */
export function markTooSlow<Failure extends Error>(error: Failure): Failure {
  return Object.defineProperty(error, TOO_SLOW, { value: true })
}

/**
 * Whether the session, the pool, a pooler or the user ended a statement or a transaction for its slowness. What is slow once
 * is slow again, and each run costs the server as much as the first one: it never runs again by itself.
 */
export function wasTooSlow(cause: unknown): boolean {
  return propertyOf(cause, TOO_SLOW) === true || CODES.has(codeOf(cause)) || poolerMeaning(cause) === 'too slow'
}
