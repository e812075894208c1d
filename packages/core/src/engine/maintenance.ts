import type { Connection } from '../connection/connection.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Inventory } from './inventory.ts'

/** How often upkeep looks, at the least, in milliseconds: a look that comes much later means the process stood still. */
export const HEARTBEAT_MILLIS = 1000

/** What upkeep works on. */
export interface MaintenanceParts {
  readonly clock: Clock
  readonly publisher: Publisher
  readonly inventory: Inventory
  readonly options: Pick<ResolvedOptions, 'min' | 'idleTimeoutMillis' | 'keepaliveMillis' | 'leakDetectionMillis'>
  readonly retire: (connection: Connection, reason: RetireReason) => void
  /** Opens so many connections that nobody waits for yet. */
  readonly refill: (count: number) => void
  /** Pings an idle connection. */
  readonly ping: (connection: Connection) => void
  /** Asks the server, over an idle connection, what is to be known of it; once. */
  readonly examine: ((connection: Connection) => void) | undefined
  /** Called at each look. */
  readonly onHeartbeat: (now: number) => void
}

/**
 * The periodic chores: retires what has aged, keeps `min` ready, keeps idle sessions in the memory of firewalls, notices
 * leaks. One timer, which keeps no process alive.
 */
export class Maintenance {
  readonly #parts: MaintenanceParts
  #cancel: Cancel | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #stopped = false
  #hasExamined = false

  constructor(parts: MaintenanceParts) {
    this.#parts = parts
  }

  /** Looks no later than at this time, when something will be due that wasn't known before. */
  lookBy(at: number): void {
    if (at >= this.#nextAt || this.#stopped) return
    const { clock } = this.#parts
    const now = clock.now()
    const soon = Math.min(at, now + HEARTBEAT_MILLIS)
    if (soon >= this.#nextAt) return
    this.#cancel?.()
    this.#nextAt = soon
    this.#cancel = clock.schedule(Math.max(0, soon - now), () => this.#look(), 'nothing')
  }

  /** Forgets the timer of a process that this one is a copy of. */
  restart(): void {
    this.#cancel?.()
    this.#nextAt = Number.POSITIVE_INFINITY
  }

  /** No more looks. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #look(): void {
    const { clock, inventory, options, onHeartbeat } = this.#parts
    this.#nextAt = Number.POSITIVE_INFINITY
    const now = clock.now()
    onHeartbeat(now)
    const due = Math.min(this.#retireAged(now), this.#tellLeaks(now), this.#keepAlive(now))
    this.#keepReady()
    this.#examineOnce()
    if (inventory.size > 0 || options.min > 0) this.lookBy(Math.min(due, now + HEARTBEAT_MILLIS))
  }

  /** Retires idle connections that are too old, or idle for too long; answers when the next one will be. */
  #retireAged(now: number): number {
    const { inventory, options, retire } = this.#parts
    let due = Number.POSITIVE_INFINITY
    for (const connection of inventory.idle()) {
      const idleUntil = connection.idleSince + options.idleTimeoutMillis
      const surplus = inventory.idleCount > options.min
      if (connection.expiresAt <= now) retire(connection, 'expired')
      else if (surplus && idleUntil <= now) retire(connection, 'idle-timeout')
      else due = Math.min(due, connection.expiresAt, surplus ? idleUntil : due)
    }
    return due
  }

  /** Tells of leases that last too long, once each; answers when the next one will. */
  #tellLeaks(now: number): number {
    const { inventory, options, publisher } = this.#parts
    const { leakDetectionMillis } = options
    let due = Number.POSITIVE_INFINITY
    if (leakDetectionMillis === due) return due
    for (const connection of inventory.all()) {
      const { lease } = connection
      if (!connection.is('leased') || lease.isOverdue) continue
      const heldMillis = now - lease.since
      if (heldMillis < leakDetectionMillis) due = Math.min(due, lease.since + leakDetectionMillis)
      else {
        lease.isOverdue = true
        publisher.publish({ type: 'connection-leak-suspected', connection, heldMillis, stack: lease.holder })
      }
    }
    return due
  }

  /** Pings idle connections that have been silent for too long; answers when the next one will have been. */
  #keepAlive(now: number): number {
    const { inventory, options, ping } = this.#parts
    const { keepaliveMillis } = options
    let due = Number.POSITIVE_INFINITY
    if (keepaliveMillis === due) return due
    for (const connection of inventory.idle()) {
      const silentUntil = connection.liveness.answeredAt + keepaliveMillis
      if (silentUntil <= now) ping(connection)
      else due = Math.min(due, silentUntil)
    }
    return due
  }

  #keepReady(): void {
    const { inventory, options, refill } = this.#parts
    const missing = options.min - inventory.idleCount - inventory.count('opening') - inventory.count('checking')
    if (missing > 0) refill(missing)
  }

  #examineOnce(): void {
    const { inventory, examine } = this.#parts
    const { next } = inventory
    if (this.#hasExamined || !examine || !next) return
    this.#hasExamined = true
    examine(next)
  }
}
