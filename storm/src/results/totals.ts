import type { StackRecord } from '../run/record.ts'
import { type PhaseResult, phaseResults } from './phase-result.ts'

/** All faults of one stack together: sums, and the longest recovery time. */
export function totals(stack: StackRecord): Omit<PhaseResult, 'fault'> {
  const results = phaseResults(stack)
  const sum = (read: (result: PhaseResult) => number): number =>
    results.reduce((total, result) => total + read(result), 0)
  const backAfter = results.map(({ backAfterMillis }) => backAfterMillis ?? Number.POSITIVE_INFINITY)
  const slowest = Math.max(...backAfter)
  return {
    succeeded: sum(({ succeeded }) => succeeded),
    errors: sum(({ errors }) => errors),
    avoidable: sum(({ avoidable }) => avoidable),
    retried: sum(({ retried }) => retried),
    hangs: sum(({ hangs }) => hangs),
    crashes: sum(({ crashes }) => crashes),
    diedInCrash: sum(({ diedInCrash }) => diedInCrash),
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
    uncommitted: sum(({ uncommitted }) => uncommitted),
    denied: sum(({ denied }) => denied),
    misreported: sum(({ misreported }) => misreported),
    unknown: sum(({ unknown }) => unknown),
    writtenInSpiteOfError: sum(({ writtenInSpiteOfError }) => writtenInSpiteOfError),
    balancesAreRight: results.every(({ balancesAreRight }) => balancesAreRight),
    leakedSlots: sum(({ leakedSlots }) => leakedSlots),
    leakedSessions: sum(({ leakedSessions }) => leakedSessions),
    wasReplaced: results.some(({ wasReplaced }) => wasReplaced),
    backAfterMillis: Number.isFinite(slowest) ? slowest : undefined,
  }
}
