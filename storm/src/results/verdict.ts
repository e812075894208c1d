import type { StackRecord, StormRecord } from '../run/record.ts'
import { SETTINGS } from '../settings.ts'
import { calmLatencyMillis } from './calm.ts'
import { phaseResult } from './phase-result.ts'

/** What is said of a storm in which Holdfast did nothing that it must not do. */
export const HELD =
  'Holdfast lost nothing, doubled nothing, misreported nothing, left nothing astray and no slot behind, and neither crashed nor hung.'

/** A statement takes some milliseconds; on a machine that has no time for it, what hangs may hang for that. */
const MOST_CALM_MILLIS = 150

/** What must be said before anything else is believed; undefined if nothing. */
export function doubt(record: StormRecord): string | undefined {
  const millis = calmLatencyMillis(record)
  if (millis <= MOST_CALM_MILLIS) return undefined
  return (
    `This machine was too busy: while nothing was broken, one operation in twenty took ${Math.round(millis)} ms or more. Hangs, ` +
    "errors and times may be the machine's own; run it again when nothing else runs."
  )
}

/** Whether there was anybody to be judged: not if only stock stacks were asked for. */
export function hasVerdict({ stacks }: StormRecord): boolean {
  return stacks.some(({ stack }) => stack.isJudged)
}

/** What a judged stack did that it must not do; empty if it held fast. */
export function violations(record: StormRecord): readonly string[] {
  return record.stacks.filter(({ stack }) => stack.isJudged).flatMap(violationsOf)
}

function violationsOf(stack: StackRecord): readonly string[] {
  const { title } = stack.stack
  const found = stack.phases.flatMap((phase) => {
    const result = phaseResult(phase)
    const wrongs: readonly (readonly [number, string])[] = [
      [result.lost, 'acknowledged writes lost'],
      [result.doubled, 'writes doubled'],
      [result.uncommitted, 'writes there that nobody committed'],
      [result.denied, 'writes there that an error had denied'],
      [result.misreported, 'transactions written that were reported as failed'],
      [result.balancesAreRight ? 0 : 1, 'sum of balances wrong'],
      [result.leakedSlots, 'slots leaked'],
      [result.leakedSessions, 'sessions left behind at the server'],
      [result.crashes, 'crashes'],
      [result.hangs, `operations pending for more than ${SETTINGS.hangMillis / 1000} s`],
    ]
    return wrongs
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${title}, ${phase.fault.title}: ${count} ${what}`)
  })
  return stack.endedWithinMillis === undefined
    ? [...found, `${title}: the process did not end after pool.end()`]
    : found
}
