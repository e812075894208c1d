import type { Act, PhaseRecord } from '../run/record.ts'
import type { Operation } from '../workload/operation.ts'

/**
 * Whether an error was unavoidable, and why. Unavoidable is only the loss of a write of which nobody but the server can say
 * whether it was executed: a read can be run again, and so can a write that was rolled back or never arrived.
 *
 * - `in flight`: the connection of such a write was killed while the operation had it.
 * - `into the dark`: its connection had died without a sign, or was about to damage its bytes, and no other dead connection had
 *   been noticed when the statement was sent.
 * - `avoidable`: everything else. A better pool would not have shown it.
 */
export type Reason = 'in flight' | 'into the dark' | 'avoidable'

/** A process that shares two cores needs a moment to read what has arrived. */
const GRACE_MILLIS = 50

/**
 * Judges by when the operation had its connection and what was done to connections then, not by what the error says. An error
 * before there was a connection is always avoidable.
 */
export function reasonFor(operation: Operation, phase: PhaseRecord): Reason {
  if (operation.kind === 'read' || operation.error?.commitOutcome !== 'unknown') return 'avoidable'
  if (!lostItsConnection(operation)) return 'avoidable'
  const hadConnectionAt = operation.leasedAt ?? operation.startedAt
  const overlaps = ({ from, until }: Act): boolean =>
    hadConnectionAt <= until + GRACE_MILLIS && operation.endedAt >= from
  const effects = new Set(phase.acts.filter(overlaps).map(({ effect }) => effect))
  if (effects.has('kills')) return 'in flight'
  if (!effects.has('silences')) return 'avoidable'
  const began = phase.acts.find(({ effect }) => effect === 'silences')?.from ?? Number.POSITIVE_INFINITY
  if (hadConnectionAt <= began) return 'in flight'
  return hadConnectionAt <= firstNews(phase, began) + GRACE_MILLIS ? 'into the dark' : 'avoidable'
}

/** When the first silenced connection was noticed: from then on, the pool could suspect the others. */
function firstNews({ operations }: PhaseRecord, since: number): number {
  return operations
    .filter(({ outcome, endedAt }) => outcome === 'failed' && endedAt >= since)
    .reduce((earliest, { endedAt }) => Math.min(earliest, endedAt), Number.POSITIVE_INFINITY)
}

function lostItsConnection({ error }: Operation): boolean {
  return (
    error !== undefined && error.step !== 'connect' && /^(?:ConnectionLost|CommitOutcomeUnknown)Error$/.test(error.name)
  )
}
