import type { PoolClient } from 'pg'
import type { CommitOutcome, Loss } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import type { CommitVerdict, ServerIdentity, TransactionIdentity } from './verdict.ts'
import type { KnownTransaction, XidTracker } from './xid-tracker.ts'

/** How lost COMMITs are dealt with. */
export interface CommitSettings {
  /** How long the server may take to answer one, in milliseconds. */
  readonly timeoutMillis: number
  /** Asks over another connection. */
  readonly find: (transaction: TransactionIdentity) => Promise<CommitVerdict>
  /** Ends a session whose client is gone, if the server doesn't know of that. */
  readonly fence: (session: ServerIdentity | TransactionIdentity) => Promise<void>
  /** Told when it is known what became of a lost COMMIT, or that it can't be known. */
  readonly onResolved: (resolved: ResolvedCommit) => void
  /** Whether the server can be asked for the ids of its transactions, as far as any connection of the pool has found out. */
  isRefused: boolean
}

/** What became of a COMMIT whose answer was lost. */
export interface ResolvedCommit {
  /** Where it was lost. */
  readonly connection: { readonly id: number; readonly client: PoolClient; readonly backendPid: number | null }
  readonly verdict: 'committed' | CommitOutcome
  /** Why it is unknown. */
  readonly reason: string | undefined
  readonly tookMillis: number
}

/** What is found out: whether the COMMIT was carried out, and the loss as it is to be told from now on. */
export interface SettledCommit {
  readonly isCommitted: boolean
  readonly loss: Loss
}

/** Finds out what became of a transaction whose COMMIT was lost on this connection, by what is known of it, and tells. */
export async function settleCommit(
  connection: ResolvedCommit['connection'],
  loss: Loss,
  known: KnownTransaction,
  { find, onResolved }: CommitSettings,
  clock: Pick<Clock, 'now'>,
): Promise<SettledCommit> {
  const startedAt = clock.now()
  const settled = await settle(loss, known, find)
  onResolved({
    connection,
    verdict: settled.isCommitted ? 'committed' : settled.loss.commitOutcome,
    reason: settled.loss.unknown?.reason,
    tookMillis: clock.now() - startedAt,
  })
  return settled
}

async function settle(loss: Loss, known: KnownTransaction, find: CommitSettings['find']): Promise<SettledCommit> {
  if (known === 'nothing written') return { isCommitted: false, loss: { ...loss, commitOutcome: 'aborted' } }
  const isIdentified = !('unknown' in known)
  const verdict = isIdentified ? await find(known) : known
  if (verdict === 'committed') return { isCommitted: true, loss }
  if (verdict === 'aborted') return { isCommitted: false, loss: { ...loss, commitOutcome: 'aborted' } }
  const unknown = { reason: verdict.unknown, transaction: isIdentified ? known : undefined }
  return { isCommitted: false, loss: { ...loss, unknown } }
}

/** A server that doesn't know of the loss would keep the locks of the open transaction, against the next attempt. */
export function fenceLost(
  { phase, cause }: Loss,
  identification: XidTracker | undefined,
  commits: CommitSettings | undefined,
): void {
  const { session, known } = identification ?? {}
  const isRolledBack = phase === 'transaction' || (phase === 'commit' && known === 'nothing written')
  if (isRolledBack && session && severityOf(cause) === undefined) void commits?.fence(session)
}
