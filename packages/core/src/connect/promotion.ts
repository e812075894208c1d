import type { Connection } from '../connection/connection.ts'
import { ConnectError, noAnswer } from '../errors.ts'
import { addressOf, type Host } from '../options/hosts.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import { type Clock, withinPatience } from '../runtime/clock.ts'
import type { SessionAside } from '../watch/asking-session.ts'
import { wasPromoted } from './host-check.ts'
import type { HostList } from './host-list.ts'

/** A host that answers no login for so many times its patience is taken for one that can't be reached. */
const PATIENCES = 3

/** Where another host may know more, this one isn't waited for as long as callers would. One that is late is closed. */
export function inTime(
  opening: Promise<SessionAside>,
  clock: Clock,
  patienceMillis: number,
  where: { readonly host: string; readonly port: number },
): Promise<SessionAside> {
  const millis = patienceMillis * PATIENCES
  let isLate = false
  opening.then(
    (session) => isLate && session.close(0),
    () => {},
  )
  return withinPatience(clock, millis, opening, () => {
    isLate = true
    return new ConnectError({ ...where, database: undefined }, noAnswer(millis))
  })
}

/** What looking for a promoted host takes. */
interface PromotionParts {
  readonly connections: () => Iterable<Connection>
  /** Opens a session beside the pool, and doesn't wait for a silent host. */
  readonly openSession: (host: Host) => Promise<SessionAside>
  readonly hosts: HostList
  readonly patienceMillis: number
}

/** A host is silent, and all connections may wait for it: asks the others whether one was promoted in its place. */
export async function lookForPromotion(parts: PromotionParts, silent: Host): Promise<void> {
  const { connections, openSession, hosts, patienceMillis } = parts
  for (const other of hosts.othersThan(silent)) {
    let session: SessionAside | undefined
    try {
      session = await openSession(other)
      const { ask: askThere } = session
      if (!(await wasPromoted((sql) => askThere(sql, INTERNAL_QUERY_TIMEOUT_MILLIS), hosts))) continue
      hosts.noteFailure(silent, noAnswer(patienceMillis))
      loseOthers(connections(), other)
      return
    } catch {
      // A standby, or one that can't be reached.
    } finally {
      session?.close(1000)
    }
  }
}

/** A server was promoted. What runs on the one before can't be answered for, though a silent server may be alive. */
export function loseOthers(connections: Iterable<Connection>, promoted: Host): void {
  const { host, port } = addressOf(promoted)
  for (const connection of connections) {
    if (connection.candidate?.host === promoted || connection.is('opening')) continue
    const text = `${host}:${port} was promoted in place of its server`
    connection.markLost(Object.assign(new Error(text), { code: '08006' }), 'own', true)
  }
}
