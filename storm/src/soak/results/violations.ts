import { SETTINGS } from '../../settings.ts'
import type { Books, CalmPoint, End, SoakRecord } from '../run/record.ts'

/** What was wrong, apart from what grew; empty if nothing was. */
export function violationsOf(record: SoakRecord): readonly string[] {
  const { crash, bugs, warnings, calmPoints, end } = record
  return [
    ...(crash === undefined ? [] : [`the process did not hold: ${crash}`]),
    ...[...bugs].map((bug) => `a bug told itself: ${bug}`),
    // The only warning that says that something accumulates.
    ...[...warnings].filter((warning) => warning.startsWith('MaxListenersExceeded')),
    ...calmPoints.flatMap((point, index) => violationsAt(point).map((wrong) => `${place(point, index)}: ${wrong}`)),
    ...(end ? violationsAtTheEnd(end) : []),
  ]
}

function violationsAt({ pending, habits, usableSlots, books, sample, left }: CalmPoint): readonly string[] {
  const { connections, sockets, sessions } = books
  const agree = connections === sockets && sockets === sessions
  const work = habits.length === 0 ? '' : ` (of a caller who ${habits.join(', or ')})`
  return [
    ...(pending.length === 0 ? [] : [`${pending.length} operations never ended${work}`]),
    ...(usableSlots === SETTINGS.poolMax ? [] : [`only ${usableSlots} of ${SETTINGS.poolMax} slots could be used`]),
    ...(agree ? [] : [`the books do not agree: ${described(books)}`]),
    ...restless(sample.resources),
    ...(left.connections + left.sockets + left.sessions === 0 ? [] : [`left after dispose(): ${described(left)}`]),
  ]
}

/** No operation is running, so only the process's own pipes may keep it alive. */
function restless({ Timeout = 0, TCPSocketWrap = 0 }: Readonly<Record<string, number>>): readonly string[] {
  return Timeout + TCPSocketWrap === 0
    ? []
    : [`alive after dispose(), although nobody waits: ${Timeout} timers, ${TCPSocketWrap} sockets`]
}

function violationsAtTheEnd({ left, endedByItself, audit, balancesAreRight }: End): readonly string[] {
  const counts: readonly (readonly [number, string])[] = [
    [left.sockets, 'sockets open after pool.end()'],
    [left.sessions, 'sessions at the server after pool.end()'],
    [audit.lost.length, 'acknowledged writes lost'],
    [audit.doubled.length, 'writes doubled'],
    [audit.uncommitted.length, 'writes there that nobody committed'],
    [audit.denied.length, 'writes there that an error had denied'],
    [audit.misreported.length, 'transactions written that were reported as failed'],
    [balancesAreRight ? 0 : 1, 'sum of balances wrong'],
    [endedByItself ? 0 : 1, 'process that did not end after pool.end()'],
  ]
  return counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
}

function described({ connections, sockets, sessions }: Books): string {
  return `${connections} connections of the pools, ${sockets} sockets, ${sessions} sessions at the server`
}

function place({ fault }: CalmPoint, index: number): string {
  return `after fault ${index + 1} (${fault.title})`
}
