import type { Act, PhaseRecord } from '../run/record.ts'
import type { Operation } from '../workload/operation.ts'

/**
 * Why an error had to be, or not.
 *
 * - `in flight`: its connection was open when it was killed. What was on its way is lost, and nobody may repeat it.
 * - `into the dark`: its connection had died without a sign, or its bytes were damaged; the statement was sent, and
 *   only then could anyone know.
 * - `avoidable`: everything else. A better pool would not have shown it.
 */
export type Reason = 'in flight' | 'into the dark' | 'avoidable'

/** News need a moment to be read, by a process that shares two cores with everything else. */
const GRACE_MILLIS = 50

/**
 * Judges by when the operation had its connection and what was done to connections then, not by what the error says
 * of itself; an error from before there was a connection is always avoidable.
 */
export function reasonFor(operation: Operation, phase: PhaseRecord): Reason {
  if (!lostItsConnection(operation)) return 'avoidable'
  const hadConnectionAt = operation.leasedAt ?? operation.startedAt
  const overlaps = ({ from, until }: Act): boolean =>
    hadConnectionAt <= until + GRACE_MILLIS && operation.endedAt >= from
  const effects = new Set(phase.acts.filter(overlaps).map(({ effect }) => effect))
  if (effects.has('kills')) return 'in flight'
  const began = phase.acts.find(({ effect }) => effect === 'silences')?.from ?? Number.POSITIVE_INFINITY
  if (effects.has('silences')) return hadConnectionAt <= began ? 'in flight' : 'into the dark'
  return 'avoidable'
}

function lostItsConnection({ error }: Operation): boolean {
  return (
    error !== undefined && error.step !== 'connect' && error.sent !== undefined && error.name === 'ConnectionLostError'
  )
}
