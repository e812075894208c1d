import type { CommitOutcome, LossPhase } from '../errors.ts'
import type { TransactionStatus } from './reset.ts'

const MAY_COMMIT = /\b(?:commit|end|prepare\s+transaction)\b/i
const ONLY_BEGINS = /^\s*(?:begin|start\s+transaction)\b[^;]*;?\s*$/i

/** What a lost connection was doing, judged by its last known transaction status and the statements under way. */
export function phaseOfLoss(status: TransactionStatus, underWay: readonly (string | undefined)[]): LossPhase {
  const inTransaction = status === 'T' || status === 'E'
  if (underWay.length === 0) return inTransaction ? 'transaction' : 'idle'
  // A statement without a known text (a cursor, a COPY stream) is taken for the worst. E can only become ROLLBACK.
  if (status === 'T' && underWay.some((text) => text === undefined || MAY_COMMIT.test(text))) return 'commit'
  const onlyBegins = underWay[0] !== undefined && ONLY_BEGINS.test(underWay[0])
  return inTransaction || onlyBegins ? 'transaction' : 'query'
}

/** What became of the work: a single statement commits by itself, so its outcome is as unknown as a lost COMMIT's. */
export function outcomeOfLoss(phase: LossPhase): CommitOutcome {
  return phase === 'commit' || phase === 'query' ? 'unknown' : 'aborted'
}

const ONLY_ROLLS_BACK = /^\s*(?:rollback|abort)\b[^;]*;?\s*$/i

/** Whether this statement only undoes: on a lost connection it is already true, for the server has rolled back. */
export function onlyRollsBack(text: string | undefined): boolean {
  return text !== undefined && ONLY_ROLLS_BACK.test(text) && !/\b(?:prepared|chain)\b/i.test(text)
}
