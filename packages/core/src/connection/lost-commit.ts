import type { Loss } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { CommitVerdict, ServerIdentity, TransactionIdentity } from '../policy/commit-outcome.ts'
import type { Identification, Identified } from './identification.ts'

/** How lost COMMITs are dealt with. */
export interface CommitSettings {
  /** How long the server may take to answer one, in milliseconds. */
  readonly timeoutMillis: number
  /** Asks over another connection. */
  readonly find: (transaction: TransactionIdentity) => Promise<CommitVerdict>
  /** Ends a session whose client is gone, if the server doesn't know of that. */
  readonly fence: (session: ServerIdentity | TransactionIdentity) => Promise<void>
  /** Whether the server can be asked for the ids of its transactions, as far as any connection of the pool has found out. */
  isRefused: boolean
}

/** What is found out: whether the COMMIT was carried out, and the loss as it is to be told from now on. */
export interface Settled {
  readonly isCommitted: boolean
  readonly loss: Loss
}

/** Finds out what became of a transaction whose COMMIT was lost, by what is known of it. */
export async function settleCommit(loss: Loss, known: Identified, { find }: CommitSettings): Promise<Settled> {
  if (known === 'nothing written') return { isCommitted: false, loss: { ...loss, commitOutcome: 'aborted' } }
  const isIdentified = !('unknown' in known)
  const verdict = isIdentified ? await find(known) : known
  if (verdict === 'committed') return { isCommitted: true, loss }
  if (verdict === 'aborted') return { isCommitted: false, loss: { ...loss, commitOutcome: 'aborted' } }
  const unknown = { why: verdict.unknown, transaction: isIdentified ? known : undefined }
  return { isCommitted: false, loss: { ...loss, unknown } }
}

/** A server that doesn't know of the loss would keep the locks of the open transaction, against the next attempt. */
export function fenceLost(
  { phase, cause }: Loss,
  identification: Identification | undefined,
  commits: CommitSettings | undefined,
): void {
  const { session, known } = identification ?? {}
  const isRolledBack = phase === 'transaction' || (phase === 'commit' && known === 'nothing written')
  if (isRolledBack && session && severityOf(cause) === undefined) void commits?.fence(session)
}
