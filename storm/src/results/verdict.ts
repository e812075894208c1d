import type { StackRecord, StormRecord } from '../run/record.ts'
import { phaseResult } from './phase-result.ts'

/** What is said of a storm in which Holdfast did nothing that it must not do. */
export const HELD = 'Holdfast lost nothing, doubled nothing, leaked nothing, and neither crashed nor hung.'

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
      [result.balancesAreRight ? 0 : 1, 'sum of balances wrong'],
      [result.leakedSlots, 'slots leaked'],
      [result.leakedSessions, 'sessions left behind at the server'],
      [result.crashes, 'crashes'],
      [result.hangs, 'operations hung for more than 5 s'],
    ]
    return wrongs
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${title}, ${phase.fault.title}: ${count} ${what}`)
  })
  return stack.endedWithinMillis === undefined
    ? [...found, `${title}: the process did not end after pool.end()`]
    : found
}
