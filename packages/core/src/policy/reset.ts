import type { ResetFunction, ResetPolicy } from '../options/pool-options.ts'

/** The protocol's own word on a session: idle, in a transaction, in a failed one. Null before the first answer. */
export type TransactionStatus = 'I' | 'T' | 'E' | null

/** How long a reset may take, in milliseconds: longer says that the session is not well, or does what no reset should. */
export const RESET_TIMEOUT_MILLIS = 5000

/** How to make a session fit for its next lease. */
export interface ResetPlan {
  /** What to send, one round trip each. */
  readonly statements: readonly string[]
  /** The user's own function, called after them. */
  readonly call?: ResetFunction
  /** The statements undo what the user's `onConnect` has set. */
  readonly undoesHook?: true
  /** The statements drop the prepared statements that the driver believes in. */
  readonly dropsStatements?: true
}

/**
 * DISCARD ALL but for prepared statements and plans, in one round trip: what a session must not hand on. It can't be
 * one statement, and DISCARD ALL itself can't be among several.
 *
 * @see https://www.postgresql.org/docs/current/sql-discard.html
 */
const CLEAR_SESSION =
  'CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES'

/**
 * How to reset a connection that was released in this state. A clean one costs no round trip, unless the policy is
 * about more than transactions and the lease has sent anything at all.
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
  // COMMIT of a failed transaction would be a ROLLBACK with another name.
  return { statements: [policy === 'commit' && status === 'T' ? 'COMMIT' : 'ROLLBACK'] }
}
