import type { CommitOutcome, Loss, LossPhase, StatementOutcome } from '../errors.ts'
import { readSql } from '../sql/statement.ts'
import { leastCertain } from './outcome.ts'
import { poolerMeaning } from './pooler-words.ts'
import type { TransactionStatus } from './reset.ts'

// What a loss means for the work of the lease that had the connection. What it means for the others is in `reach.ts`.

/** What the lease was doing when its connection was lost. */
export interface Use {
  /** The transaction status that the server has reported last. */
  readonly status: TransactionStatus
  /** The statements whose effect isn't known yet; `undefined` for a text that only the driver knows. */
  readonly underWay: readonly (string | undefined)[]
  /** What became of each of them, outside of a transaction or of what has ended one: see `outcomesOf`. */
  readonly outcomes?: readonly StatementOutcome[]
  /** Whether the lease sent anything before them. */
  readonly hasWorked: boolean
}

/**
 * Judges a loss by its cause, and by the lease that had the connection (`use`), if one had:
 *
 * | the connection was lost | phase | outcome |
 * | --- | --- | --- |
 * | before the lease sent anything | `idle` | `aborted` |
 * | between statements, outside of a transaction | `idle` | `unknown`: what the lease did before is there to stay |
 * | in a transaction that the statements under way can't have committed | `transaction` | `aborted` |
 * | in a transaction that they may have committed | `commit` | `unknown`, unless they certainly did not |
 * | during a statement outside of a transaction | `query` | `unknown`, unless it certainly wrote nothing: it commits by itself |
 *
 * Two causes say more. A server that takes no writes has written nothing, and a pooler that refuses a statement has passed it
 * to no server.
 */
export function judgeLoss(use: Use | undefined, cause: unknown, takesNoWrites: boolean): Loss {
  const pooler = poolerMeaning(cause)
  const phase = use ? phaseOfLoss(use.status, use.underWay) : 'idle'
  const hasWorked = use?.hasWorked === true
  // In a transaction a server was at work, so the refusal is no proof.
  const isRefused = pooler === 'refused' || pooler === 'final'
  if (isRefused && use?.status === 'I' && use.underWay.length > 0)
    return { cause, phase, commitOutcome: outcomeOfLoss('idle', hasWorked), statementOutcome: 'never-ran' }
  const statementOutcome = takesNoWrites ? 'rolled-back' : outcomeUnderWay(phase, use?.outcomes)
  const commitOutcome = takesNoWrites ? 'aborted' : outcomeOfLoss(phase, hasWorked, statementOutcome)
  return { cause, phase, commitOutcome, statementOutcome }
}

/** What became of the statements under way, of those together: a transaction that isn't committed is rolled back. */
function outcomeUnderWay(phase: LossPhase, outcomes: readonly StatementOutcome[] | undefined): StatementOutcome {
  if (phase === 'idle') return 'never-ran'
  return phase === 'transaction' ? 'rolled-back' : leastCertain(outcomes ?? ['unknown'])
}

/** The phase of a loss, as in `judgeLoss`'s table. */
export function phaseOfLoss(status: TransactionStatus, underWay: readonly (string | undefined)[]): LossPhase {
  const inTransaction = status === 'T' || status === 'E'
  const [first] = underWay
  const only = underWay.length === 1 && first !== undefined ? readSql(first) : undefined
  // A failed transaction can only be rolled back, whatever the single statement sent after the failure says.
  if (status === 'E' && only?.isSingle) return 'transaction'
  if (inTransaction) return underWay.every(staysInTransaction) ? 'transaction' : 'commit'
  if (underWay.length === 0) return 'idle'
  return only?.isInTransactionOfItsOwn ? 'transaction' : 'query'
}

/** What became of the lease's work, by the phase in which the connection was lost, and by what was under way. */
export function outcomeOfLoss(
  phase: LossPhase,
  hasWorked: boolean,
  underWay: StatementOutcome = 'unknown',
): CommitOutcome {
  if (phase === 'idle') return hasWorked ? 'unknown' : 'aborted'
  if (phase === 'transaction') return 'aborted'
  const didNothing = underWay === 'never-ran' || underWay === 'rolled-back'
  return didNothing && (phase === 'commit' || !hasWorked) ? 'aborted' : 'unknown'
}

/**
 * Whether this text can't have committed the open transaction, and can't have ended it with other texts after it. An unknown
 * text (a cursor) counts as a possible COMMIT. A procedure or a DO block can't commit inside a transaction.
 */
function staysInTransaction(text: string | undefined, index: number, all: readonly unknown[]): boolean {
  if (text === undefined) return false
  const sql = readSql(text)
  const isLast = index === all.length - 1
  return !sql.mayCommit && (isLast || !sql.mayEnd)
}
