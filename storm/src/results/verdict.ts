import { counted } from '../counted.ts'
import type { StackRecord, StormRecord } from '../run/record.ts'
import { SETTINGS } from '../settings.ts'
import { calmLatencyMillis } from './calm.ts'
import { phaseResult } from './phase-result.ts'
import { totals } from './totals.ts'

/** The verdict on a storm in which Holdfast did nothing wrong. */
const HELD =
  'Holdfast lost nothing, doubled nothing, misreported nothing, left nothing astray and no slot behind, and neither crashed nor hung.'

/** The verdict in one sentence, with the numbers of the stacks without Holdfast beside it. */
export function verdict(record: StormRecord): string {
  const found = violations(record)
  if (found.length > 0)
    return `Holdfast did not hold: ${counted(found.length, 'thing', 'things')} went wrong, listed above the table.`
  const ours = heldVerdict(record)
  const stock = record.stacks.filter(({ stack }) => !stack.isJudged)
  return stock.length === 0 ? ours : `Where stock showed ${damageOf(stock)}, ${ours}`
}

/** The verdict on the stacks with Holdfast, if they did nothing wrong: an error is a single write whose outcome is unknown. */
export function heldVerdict({ stacks }: StormRecord): string {
  const errors = errorsOf(stacks.filter(({ stack }) => stack.isJudged))
  if (errors === 0) return HELD
  const [whose, were] = errors === 1 ? ['its', 'was'] : ['their', 'were']
  return `${HELD.slice(0, -1)}; ${counted(errors, 'write', 'writes')} lost ${whose} connection under way, and ${were} reported as unknown.`
}

function damageOf(stacks: readonly StackRecord[]): string {
  const all = stacks.map(totals)
  const sum = (read: (result: (typeof all)[number]) => number): number =>
    all.reduce((total, result) => total + read(result), 0)
  const texts = [
    counted(errorsOf(stacks), 'error', 'errors'),
    counted(
      sum(({ hangs }) => hangs),
      'hang',
      'hangs',
    ),
    counted(
      sum(({ crashes }) => crashes),
      'crash',
      'crashes',
    ),
  ]
  return `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`
}

function errorsOf(stacks: readonly StackRecord[]): number {
  return stacks.reduce((total, stack) => total + totals(stack).errors, 0)
}

const PENDING = `pending for more than ${SETTINGS.hangMillis / 1000} s`

/** A statement takes some milliseconds. On an overloaded machine operations may hang because of the load. */
const MOST_CALM_MILLIS = 150

/** Why the results may be unreliable; undefined if they aren't. */
export function doubt(record: StormRecord): string | undefined {
  const millis = calmLatencyMillis(record)
  if (millis <= MOST_CALM_MILLIS) return undefined
  return (
    `This machine was too busy: while nothing was broken, one operation in twenty took ${Math.round(millis)} ms or more. Hangs, ` +
    "errors and times may be the machine's own; run it again when nothing else runs."
  )
}

/** Whether a stack with Holdfast ran, so that there is a verdict. */
export function hasVerdict({ stacks }: StormRecord): boolean {
  return stacks.some(({ stack }) => stack.isJudged)
}

/** What the stacks with Holdfast did wrong; empty if nothing. */
export function violations(record: StormRecord): readonly string[] {
  return record.stacks.filter(({ stack }) => stack.isJudged).flatMap(violationsOf)
}

function violationsOf(stack: StackRecord): readonly string[] {
  const { title } = stack.stack
  const found = stack.phases.flatMap((phase) => {
    const result = phaseResult(phase)
    const wrongs: readonly (readonly [count: number, one: string, many: string])[] = [
      [result.lost, 'acknowledged write lost', 'acknowledged writes lost'],
      [result.doubled, 'write doubled', 'writes doubled'],
      [result.uncommitted, 'write there that was not committed', 'writes there that were not committed'],
      [result.denied, 'write there that an error had denied', 'writes there that an error had denied'],
      [
        result.misreported,
        'transaction written that was reported as failed',
        'transactions written that were reported as failed',
      ],
      [result.balancesAreRight ? 0 : 1, 'sum of balances wrong', 'sums of balances wrong'],
      [result.leakedSlots, 'slot leaked', 'slots leaked'],
      [result.leakedSessions, 'session left behind at the server', 'sessions left behind at the server'],
      [result.crashes, 'crash', 'crashes'],
      [result.avoidable, 'error that could have been avoided', 'errors that could have been avoided'],
      [result.hangs, `operation ${PENDING}`, `operations ${PENDING}`],
    ]
    return wrongs
      .filter(([count]) => count > 0)
      .map(([count, one, many]) => `${title}, ${phase.fault.title}: ${counted(count, one, many)}`)
  })
  return stack.endedWithinMillis === undefined
    ? [...found, `${title}: the process did not end after pool.end()`]
    : found
}
