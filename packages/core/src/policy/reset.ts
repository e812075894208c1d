import type { ResetFunction, ResetPolicy } from '../options/pool-options.ts'

/** The transaction status that the protocol reports: idle, in a transaction, in a failed one. Null before the first answer. */
export type TransactionStatus = 'I' | 'T' | 'E' | null

/**
 * How long the server may take to answer what the pool itself sends (a reset, a question), in milliseconds. If it takes longer,
 * the session is unwell, or the reset does too much.
 */
export const INTERNAL_QUERY_TIMEOUT_MILLIS = 5000

/** How to prepare a session for its next lease. */
export interface ResetPlan {
  /** The statements to send, one round trip each. */
  readonly statements: readonly string[]
  /** The user's own function, called after the statements. */
  readonly call?: ResetFunction
  /** Whether the statements undo what the user's `onConnect` has set. */
  readonly undoesHook?: true
  /** Whether the statements drop the prepared statements that the driver remembers. */
  readonly dropsStatements?: true
}

/**
 * DISCARD ALL in one round trip, except that prepared statements and plans stay: what the next lease must not inherit. It can't
 * be a single statement, and DISCARD ALL itself can't be one of several.
 *
 * @see https://www.postgresql.org/docs/current/sql-discard.html
 */
const CLEAR_SESSION =
  'CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES'

/**
 * How to reset a connection that was released in this state. A clean one costs no round trip, unless the policy covers more
 * than transactions and the lease has sent something.
 */
export function resetPlan(
  policy: ResetPolicy,
  status: TransactionStatus,
  hasWorked: boolean,
): 'keep' | 'retire' | ResetPlan {
  if (status === null) return 'retire'
  const isOpen = status !== 'I'
  if (typeof policy === 'function') return { statements: [], call: policy }
  if (policy === 'none') return isOpen ? 'retire' : 'keep'
  if (policy === 'session' || policy === 'discard') {
    if (!isOpen && !hasWorked) return 'keep'
    const statements = isOpen ? ['ROLLBACK'] : []
    return policy === 'session'
      ? { statements: [...statements, CLEAR_SESSION], undoesHook: true }
      : { statements: [...statements, 'DISCARD ALL'], undoesHook: true, dropsStatements: true }
  }
  if (!isOpen) return 'keep'
  // COMMIT of a failed transaction is a ROLLBACK.
  return { statements: [policy === 'commit' && status === 'T' ? 'COMMIT' : 'ROLLBACK'] }
}
