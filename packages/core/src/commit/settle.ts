import type { PoolClient } from 'pg'
import type { CommitOutcome, Loss } from '../errors.ts'
import type { Candidate, Host } from '../options/hosts.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import type { CommitVerdict, ServerIdentity, TransactionIdentity } from './verdict.ts'
import type { KnownOfProbes, KnownTransaction, XidTracker } from './xid-tracker.ts'

/** How a pool deals with lost COMMITs. Shared by its connections. */
export interface CommitSettings extends KnownOfProbes {
  /** How long the server may take to answer a COMMIT, in milliseconds. */
  readonly timeoutMillis: number
  /** Asks over another connection to the same host what became of a transaction. */
  readonly resolve: (transaction: TransactionIdentity, host: Host | undefined) => Promise<CommitVerdict>
  /** Terminates a session whose client is gone, if the server hasn't noticed that. */
  readonly fence: (session: ServerIdentity | TransactionIdentity, host: Host | undefined) => Promise<void>
  /** Told when it is known what became of a lost COMMIT, or that it can't be known. */
  readonly onResolved: (resolved: ResolvedCommit) => void
}

/** What became of a COMMIT whose answer was lost. */
export interface ResolvedCommit {
  /** Where it was lost. */
  readonly connection: {
    readonly id: number
    readonly client: PoolClient
    readonly backendPid: number | null
    readonly candidate?: Candidate | undefined
  }
  readonly verdict: 'committed' | CommitOutcome
  /** Why it is unknown. */
  readonly reason: string | undefined
  readonly tookMillis: number
}

/** Whether the server carried the COMMIT out, and the facts of the loss from now on. */
export interface SettledCommit {
  readonly isCommitted: boolean
  readonly loss: Loss
}

/** Finds out what became of the transaction whose COMMIT was lost on this connection, and publishes it. */
export async function settleCommit(
  connection: ResolvedCommit['connection'],
  loss: Loss,
  known: KnownTransaction,
  { resolve, onResolved }: CommitSettings,
  clock: Pick<Clock, 'now'>,
): Promise<SettledCommit> {
  const startedAt = clock.now()
  const settled = await settle(loss, known, (transaction) => resolve(transaction, connection.candidate?.host))
  onResolved({
    connection,
    verdict: settled.isCommitted ? 'committed' : settled.loss.commitOutcome,
    reason: settled.loss.unknown?.reason,
    tookMillis: clock.now() - startedAt,
  })
  return settled
}

async function settle(
  loss: Loss,
  known: KnownTransaction,
  resolve: (transaction: TransactionIdentity) => Promise<CommitVerdict>,
): Promise<SettledCommit> {
  if (known === 'nothing written') return { isCommitted: false, loss: rolledBack(loss) }
  const isIdentified = !('unknown' in known)
  const verdict = isIdentified ? await resolve(known) : known
  if (verdict === 'committed') return { isCommitted: true, loss }
  if (verdict === 'aborted') return { isCommitted: false, loss: rolledBack(loss) }
  const unknown = { reason: verdict.unknown, transaction: isIdentified ? known : undefined }
  return { isCommitted: false, loss: { ...loss, unknown } }
}

function rolledBack(loss: Loss): Loss {
  return { ...loss, commitOutcome: 'aborted', statementOutcome: 'rolled-back' }
}

/**
 * Terminates the session of a lost connection if its transaction can't have committed: a server that hasn't noticed the
 * loss would keep the locks, and the next attempt would wait for them.
 */
export function fenceLost(
  { phase, cause }: Loss,
  xidTracker: XidTracker | undefined,
  commits: CommitSettings | undefined,
  host: Host | undefined,
): void {
  const { session, known } = xidTracker ?? {}
  const isRolledBack = phase === 'transaction' || (phase === 'commit' && known === 'nothing written')
  if (isRolledBack && session && severityOf(cause) === undefined) void commits?.fence(session, host)
}
