import type { PhaseRecord, StackRecord } from '../run/record.ts'
import { SETTINGS } from '../settings.ts'
import type { Operation } from '../workload/operation.ts'
import { reasonFor } from './classify.ts'

/** A phase of one stack in numbers. */
export interface PhaseResult {
  readonly fault: string
  readonly succeeded: number
  /**
   * Operations that failed, if only at first, were cut off, or died with their process. The application's own refusals are
   * none.
   */
  readonly errors: number
  /** Those of them that a better pool would not have shown. */
  readonly avoidable: number
  /** Transactions that ran more than once, with whatever outcome. */
  readonly retried: number
  /** Operations that were pending for more than five seconds. */
  readonly hangs: number
  readonly crashes: number
  /** The errors whose operation died with its process. */
  readonly diedInCrash: number
  readonly lost: number
  readonly doubled: number
  readonly uncommitted: number
  readonly denied: number
  /** Transactions that were reported as failed, but are written. */
  readonly misreported: number
  /** Transactions whose outcome was reported as unknown. */
  readonly unknown: number
  readonly writtenInSpiteOfError: number
  readonly balancesAreRight: boolean
  /** How many of the pool's `max` connections could not be used at the end. */
  readonly leakedSlots: number
  /** Sessions at the server that are busy, in a transaction, or too many, while no caller runs. */
  readonly leakedSessions: number
  readonly wasReplaced: boolean
  /** The time from the fault (or the restart of the callers) to the first success of an operation that began after it. */
  readonly backAfterMillis: number | undefined
}

/** Reduces what was observed to the numbers of the table. */
export function phaseResult(phase: PhaseRecord): PhaseResult {
  const { operations, audit } = phase
  const diedInCrash = phase.crashes.reduce((sum, { pending }) => sum + pending.length, 0)
  return {
    fault: phase.fault.name,
    succeeded: operations.filter(isSuccess).length,
    errors: operations.filter((each) => isError(each) || each.wasResubmitted).length + diedInCrash,
    avoidable: operations.filter((each) => isError(each) && reasonFor(each, phase) === 'avoidable').length,
    retried: operations.filter(({ attempts }) => attempts > 1).length,
    hangs: hangs(phase),
    crashes: phase.crashes.length,
    diedInCrash,
    lost: audit.lost.length,
    doubled: audit.doubled.length,
    uncommitted: audit.uncommitted.length,
    denied: audit.denied.length,
    misreported: audit.misreported.length,
    unknown: operations.filter(isUnknown).length,
    writtenInSpiteOfError: audit.writtenInSpiteOfError,
    balancesAreRight: phase.balancesAreRight,
    leakedSlots: SETTINGS.poolMax - phase.usableSlots,
    leakedSessions: phase.leftoverSessions.length,
    wasReplaced: phase.wasReplaced,
    backAfterMillis: backAfter(phase),
  }
}

/** All phases of a stack. */
export function phaseResults({ phases }: StackRecord): readonly PhaseResult[] {
  return phases.map(phaseResult)
}

/** Whether the application got an answer, its own refusal included. */
export function isSuccess({ outcome }: Operation): boolean {
  return outcome === 'ok' || outcome === 'declined' || outcome === 'abandoned'
}

function isUnknown({ kind, error }: Operation): boolean {
  return kind === 'transfer' && error?.commitOutcome === 'unknown'
}

/** Whether the application was left with an error. */
export function isError({ outcome, startedAt, endedAt }: Operation): boolean {
  if (outcome === 'unanswered') return endedAt - startedAt <= SETTINGS.hangMillis // A longer one is a hang.
  return outcome === 'failed'
}

// An operation that ended just after the deadline may not have been recorded as overdue.
function hangs({ operations, overdue }: PhaseRecord): number {
  const late = operations.filter(({ startedAt, endedAt }) => endedAt - startedAt > SETTINGS.hangMillis)
  return new Set([...late, ...overdue].map(({ startedAt, id }) => `${id}@${startedAt}`)).size
}

function backAfter({ operations, struckFrom, resumedAt, acts }: PhaseRecord): number | undefined {
  const from = Math.max(struckFrom, resumedAt ?? 0)
  // Until a cut is complete, some operations still succeed, which is no recovery. A silence is complete at once.
  const struck = acts.find(({ effect }) => effect !== 'silences')?.until ?? struckFrom
  const first = operations
    .filter((operation) => isSuccess(operation) && operation.startedAt >= Math.max(from, struck))
    .reduce((earliest, { endedAt }) => Math.min(earliest, endedAt), Number.POSITIVE_INFINITY)
  return Number.isFinite(first) ? first - from : undefined
}
