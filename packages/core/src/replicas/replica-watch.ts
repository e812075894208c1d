import { truthIn } from '../commit/server-report.ts'
import type { HostList } from '../connect/host-list.ts'
import type { Connection } from '../connection/connection.ts'
import type { Host } from '../options/hosts.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { AskingSession } from '../watch/asking-session.ts'
import { type Lag, LOOK_MILLIS, REPLICA_QUESTION } from './lag.ts'
import { SilentHosts } from './silent-hosts.ts'

/** What watching replicas takes. */
export interface ReplicaWatchParts {
  readonly clock: Clock
  readonly hosts: HostList
  /** Undefined if the lag doesn't count. */
  readonly lag: Pick<Lag, 'judge'> | undefined
  /** All that have a slot. */
  readonly connections: () => readonly Connection[]
  /** Retires an idle connection whose host must be left. */
  readonly leave: (connection: Connection) => void
  /** Makes the session in which a host is asked. */
  readonly makeSession: (host: Host) => AskingSession
}

/**
 * Looks at the replicas once a second, as long as the pool has connections: at those that don't suit, so that they serve again as
 * soon as they do, and at those in use, if their lag counts. Then connections leave the hosts that don't suit any more, and the
 * primary once a replica suits: idle ones at once, others when they are released. What runs on one that answers nothing is lost.
 */
export class ReplicaWatch {
  readonly #parts: ReplicaWatchParts
  readonly #sessions = new Map<Host, AskingSession>()
  readonly #silent = new SilentHosts()
  #isRunning = false
  #isStopped = false
  #cancel: Cancel | undefined

  constructor(parts: ReplicaWatchParts) {
    this.#parts = parts
  }

  /** A connection was opened. */
  begin(): void {
    if (this.#isRunning || this.#isStopped) return
    this.#isRunning = true
    this.#lookLater()
  }

  /** Closes its sessions, or lets go of those that another process may have, too. */
  closeSessions(close: boolean): void {
    for (const session of this.#sessions.values()) close ? session.close() : session.abandon()
  }

  /** The timer was set in the process that this one is a copy of. */
  restart(): void {
    this.#cancel?.()
    this.#isRunning = false
    this.closeSessions(false)
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
    this.closeSessions(true)
  }

  #lookLater(): void {
    this.#cancel = this.#parts.clock.schedule(LOOK_MILLIS, () => void this.#look(), 'nothing')
  }

  async #look(): Promise<void> {
    const { hosts, connections, leave } = this.#parts
    const used = this.#usedHosts()
    await Promise.all(hosts.own.filter((host) => this.#isDue(host, used)).map((host) => this.#lookAt(host)))
    if (this.#isStopped) return
    hosts.review()
    for (const connection of connections())
      if (connection.is('idle') && hosts.isLeft(connection.candidate)) leave(connection)
    this.#isRunning = connections().length > 0
    if (this.#isRunning) this.#lookLater()
    else this.closeSessions(true)
  }

  /** The hosts of the connections. A server that was promoted has told them. */
  #usedHosts(): ReadonlySet<Host> {
    const { hosts, connections } = this.#parts
    const used = new Set<Host>()
    for (const { candidate, serverRole } of connections()) {
      if (!candidate) continue
      used.add(candidate.host)
      const { role } = serverRole
      if (role !== undefined && role !== 'standby') hosts.noteAnswer(candidate.host, role)
    }
    return used
  }

  #isDue(host: Host, used: ReadonlySet<Host>): boolean {
    const { hosts, lag } = this.#parts
    return !hosts.isGood(host) || (lag !== undefined && used.has(host))
  }

  async #lookAt(host: Host): Promise<void> {
    const { hosts, lag, connections, makeSession } = this.#parts
    const session = this.#sessions.get(host) ?? makeSession(host)
    this.#sessions.set(host, session)
    try {
      const [row] = await session.ask(REPLICA_QUESTION, 'any')
      const isReplica = truthIn(row?.in_recovery) === true
      const behind = isReplica && (await lag?.judge(row))
      this.#silent.note(host, undefined, [])
      if (behind) hosts.noteFailure(host, behind)
      else hosts.noteAnswer(host, isReplica ? 'standby' : 'primary')
      if (!lag) session.close()
    } catch (error) {
      hosts.noteFailure(host, error)
      this.#silent.note(host, error, connections())
    }
  }
}
