import type { CommitOutcome, Loss, LossPhase } from '../errors.ts'
import type { TransactionStatus } from './reset.ts'

const BEGINS = /^\s*(?:begin|start\s+transaction)\b[^;]*;?\s*$/i
const ROLLS_BACK = /^\s*(?:rollback|abort)\b[^;]*;?\s*$/i
const COMMITS = /^\s*(?:commit|end|prepare\s+transaction)\b/i
const NAMES_COMMIT = /\b(?:commit|end|prepare\s+transaction)\b/i
const NAMES_ROLLBACK = /\b(?:rollback|abort)\b/i
const HAS_COMMENT = /--|\/\*/
const SEVERAL_STATEMENTS = /;\s*\S/

/** What a lease was doing. */
export interface Use {
  readonly status: TransactionStatus
  /** The statements whose effect isn't known yet; undefined where only the driver knows a text. */
  readonly underWay: readonly (string | undefined)[]
  /** Whether anything was sent before. */
  readonly hasWorked: boolean
}

/** What a loss is: in the middle of this use, if of any. A server that takes no writes has written nothing. */
export function judgeLoss(use: Use | undefined, takesNoWrites: boolean): Pick<Loss, 'phase' | 'commitOutcome'> {
  const phase = use ? phaseOfLoss(use.status, use.underWay) : 'idle'
  return { phase, commitOutcome: takesNoWrites ? 'aborted' : outcomeOfLoss(phase, use?.hasWorked === true) }
}

/**
 * What a lost connection was doing, judged by its last known transaction status and the statements whose effect isn't
 * known yet; `undefined` stands for a text that only the driver knows.
 */
export function phaseOfLoss(status: TransactionStatus, underWay: readonly (string | undefined)[]): LossPhase {
  const inTransaction = status === 'T' || status === 'E'
  const [first] = underWay
  // A failed transaction can only be rolled back, whatever the one statement that was sent then says.
  if (status === 'E' && underWay.length === 1 && isSingle(first)) return 'transaction'
  if (inTransaction) return underWay.every(staysInTransaction) ? 'transaction' : 'commit'
  if (underWay.length === 0) return 'idle'
  return underWay.length === 1 && isSingle(first) && BEGINS.test(first) ? 'transaction' : 'query'
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
 * Whether this statement of an open transaction can't have ended it, or can only have rolled it back with nothing
 * behind. Whatever can't be told (a cursor, several statements in one text) counts as a possible COMMIT.
 */
function staysInTransaction(text: string | undefined, index: number, all: readonly unknown[]): boolean {
  if (!isSingle(text) || mayCommit(text)) return false
  const isLast = index === all.length - 1
  return isLast || !/^\s*(?:rollback|abort)\b/i.test(text)
}

/** A procedure can't commit inside of a transaction. Comments nest, so behind one the mere word is enough. */
function mayCommit(text: string): boolean {
  return COMMITS.test(text) || (HAS_COMMENT.test(text) && NAMES_COMMIT.test(text))
}

/** Whether this statement only undoes: on a connection lost before COMMIT it is already true. */
export function onlyRollsBack(text: string | undefined): boolean {
  return isSingle(text) && ROLLS_BACK.test(text) && !/\b(?:prepared|chain)\b/i.test(text)
}

/** Whether this text asks for a COMMIT, and for no ROLLBACK: if it was answered with ROLLBACK, nothing was written. */
export function asksForCommit(text: string | undefined): boolean {
  return text !== undefined && NAMES_COMMIT.test(text) && !NAMES_ROLLBACK.test(text)
}

function isSingle(text: string | undefined): text is string {
  return text !== undefined && !SEVERAL_STATEMENTS.test(text)
}
