import type { StackRecord, StormRecord } from '../run/record.ts'
import { phaseResults } from './phase-result.ts'

/** What a judged stack did that it must not do; empty if it held fast. */
export function violations(record: StormRecord): readonly string[] {
  return record.stacks.filter(({ stack }) => stack.isJudged).flatMap(violationsOf)
}

function violationsOf(stack: StackRecord): readonly string[] {
  const { title } = stack.stack
  const found = phaseResults(stack).flatMap((result) => {
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
    return wrongs.filter(([count]) => count > 0).map(([count, what]) => `${title}, ${result.fault}: ${count} ${what}`)
  })
  return stack.endedWithinMillis === undefined
    ? [...found, `${title}: the process did not end after pool.end()`]
    : found
}
