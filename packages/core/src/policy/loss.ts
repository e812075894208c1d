import type { CommitOutcome, Loss, LossPhase } from '../errors.ts'
import { readSql } from '../sql/statement.ts'
import { poolerMeaning } from './pooler-words.ts'
import type { TransactionStatus } from './reset.ts'

/** What a lease was doing. */
export interface Use {
  readonly status: TransactionStatus
  /** The statements whose effect isn't known yet; undefined where only the driver knows a text. */
  readonly underWay: readonly (string | undefined)[]
  /** Whether anything was sent before. */
  readonly hasWorked: boolean
}

/** What a loss by this cause is: in the middle of this use, if of any. A server that takes no writes has written nothing. */
export function judgeLoss(use: Use | undefined, cause: unknown, takesNoWrites: boolean): Loss {
  const pooler = poolerMeaning(cause)
  const phase = use ? phaseOfLoss(use.status, use.underWay) : 'idle'
  // It was passed on to no server; in a transaction one was at work.
  const isRefused = pooler === 'refused' || pooler === 'final'
  if (isRefused && use?.status === 'I' && use.underWay.length > 0) {
    const commitOutcome = use.hasWorked ? 'unknown' : 'aborted'
    return { cause, phase, commitOutcome, ...(pooler === 'refused' && { mayRunAgain: true }) }
  }
  return { cause, phase, commitOutcome: takesNoWrites ? 'aborted' : outcomeOfLoss(phase, use?.hasWorked === true) }
}

/**
 * What a lost connection was doing, judged by its last known transaction status and the statements whose effect isn't
 * known yet; `undefined` stands for a text that only the driver knows.
 */
export function phaseOfLoss(status: TransactionStatus, underWay: readonly (string | undefined)[]): LossPhase {
  const inTransaction = status === 'T' || status === 'E'
  const [first] = underWay
  const only = underWay.length === 1 && first !== undefined ? readSql(first) : undefined
  // A failed transaction can only be rolled back, whatever the one statement that was sent then says.
  if (status === 'E' && only?.isSingle) return 'transaction'
  if (inTransaction) return underWay.every(staysInTransaction) ? 'transaction' : 'commit'
  if (underWay.length === 0) return 'idle'
  return only?.isInTransactionOfItsOwn ? 'transaction' : 'query'
}

/**
 * What became of the work. A single statement commits by itself, so its outcome is as unknown as a lost COMMIT's; and
 * between statements outside of a transaction, whatever the lease has done before is there to stay.
 */
export function outcomeOfLoss(phase: LossPhase, hasWorked: boolean): CommitOutcome {
  if (phase === 'idle') return hasWorked ? 'unknown' : 'aborted'
  return phase === 'transaction' ? 'aborted' : 'unknown'
}

/**
 * Whether this text can't have had the open transaction committed, or can only have rolled it back with nothing behind.
 * What can't be told (a cursor) counts as a possible COMMIT. A procedure or a block can't commit inside of a transaction.
 */
function staysInTransaction(text: string | undefined, index: number, all: readonly unknown[]): boolean {
  if (text === undefined) return false
  const sql = readSql(text)
  const isLast = index === all.length - 1
  return !sql.mayCommit && (isLast || !sql.mayEnd)
}
