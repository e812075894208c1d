import type { ResetPolicy } from '../options/pool-options.ts'

/** The protocol's own word on a session: idle, in a transaction, in a failed one. Null before the first answer. */
export type TransactionStatus = 'I' | 'T' | 'E' | null

/** What a released connection needs before anyone else may have it: nothing, this statement, or to be closed. */
export type ResetAction = 'keep' | 'ROLLBACK' | 'COMMIT' | 'retire'

/** How to reset a connection that was returned in this state. A clean one costs no round trip. */
export function resetAction(policy: ResetPolicy, status: TransactionStatus): ResetAction {
  if (status === 'I') return 'keep'
  if (status === null || policy === 'none') return 'retire'
  // COMMIT of a failed transaction would be a ROLLBACK with another name.
  return policy === 'commit' && status === 'T' ? 'COMMIT' : 'ROLLBACK'
}
