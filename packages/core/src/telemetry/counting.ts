import { PoolDeadlockError, PoolTimeoutError, TransactionTimeoutError } from '../errors.ts'
import { isAbortReason } from '../runtime/abort.ts'
import { codeOf, isError, isInstance } from '../thrown.ts'
import type { Counts } from './counts.ts'
import type { Listener, PoolEvent, PoolEventType } from './events.ts'

type Counting = {
  readonly [Type in PoolEventType]?: (counts: Counts, event: Extract<PoolEvent, { type: Type }>) => void
}

const COUNTED: Counting = {
  'acquire-failed': countFailure,
  'connection-opened': (counts, { tookMillis }) => counts.wasOpened(tookMillis),
  'connect-failed': (counts) => counts.connectFailed++,
  'connection-retired': (counts, { reason }) => counts.retired[reason]++,
  'connection-lost': (counts, { loss, wasPinged }) => {
    if (wasPinged) counts.pingsFailed++
    counts.noteLost(codeOf(loss.cause))
  },
  'connection-declared-dead': (counts, { verdict }) => counts.dead[verdict]++,
  'transaction-retried': (counts) => counts.transactionsRetried++,
  'statement-retried': (counts, { reason }) => {
    if (reason === 'plain-read' || reason === 'stalled') counts.readsRetried++
    else counts.statementsRetried++
  },
  'commit-resolved': (counts, { verdict }) => counts.commits[verdict]++,
}

/** Counts the events that are rare. What happens with each lease is counted where it happens: no event is made for it. */
export function counting(counts: Counts): Listener {
  return {
    wants: (type) => type in COUNTED,
    subscriber: (event) => (COUNTED[event.type] as (counts: Counts, event: PoolEvent) => void)?.(counts, event),
  }
}

const TOO_LATE = [PoolTimeoutError, PoolDeadlockError, TransactionTimeoutError]

function countFailure(counts: Counts, { error }: Extract<PoolEvent, { type: 'acquire-failed' }>): void {
  if (TOO_LATE.some((each) => isInstance(error, each))) counts.timedOut++
  else if (!isError(error) || isAbortReason(error))
    counts.cancelled++ // A signal may have any reason.
  else counts.refused++
}
