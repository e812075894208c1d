import type { Cancel } from '../runtime/clock.ts'
import type { ConnectScheduler } from './connect-scheduler.ts'
import type { EngineContext } from './engine-context.ts'
import type { HealthCheck } from './health-check.ts'
import type { Retirement } from './retire.ts'
import { Surplus } from './surplus.ts'

/** How often maintenance runs at least, in milliseconds. If it runs much later, the process was suspended. */
export const HEARTBEAT_MILLIS = 1000

/** What maintenance uses. */
export interface MaintenanceParts {
  readonly retirement: Retirement
  readonly connectScheduler: ConnectScheduler
  readonly healthCheck: HealthCheck
}

/**
 * The background tasks: retires connections that have aged, keeps `min` idle, pings idle connections so that firewalls
 * don't forget them, reports leaks. It has one timer, which doesn't keep the process alive.
 */
export class Maintenance {
  readonly #engine: EngineContext
  readonly #parts: MaintenanceParts
  #cancel: Cancel | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #stopped = false
  readonly #surplus: Surplus
  #hasCheckedCapacity = false

  constructor(engine: EngineContext, parts: MaintenanceParts) {
    this.#engine = engine
    this.#parts = parts
    this.#surplus = new Surplus(engine, parts)
  }

  /** Runs no later than at this time, because something will be due then. */
  runBy(at: number): void {
    if (at >= this.#nextAt || this.#stopped) return
    const { clock } = this.#engine
    const now = clock.now()
    const soon = Math.min(at, now + HEARTBEAT_MILLIS)
    if (soon < this.#nextAt) this.#setTimer(soon, soon - now)
  }

  /** Drops the timer, which was set in the process that this one is a copy of. */
  restart(): void {
    this.#cancel?.()
    this.#nextAt = Number.POSITIVE_INFINITY
  }

  /** Never runs again. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** A separate function: its closure costs nothing where the timer needn't be set. */
  #setTimer(at: number, delayMillis: number): void {
    this.#cancel?.()
    this.#nextAt = at
    this.#cancel = this.#engine.clock.schedule(Math.max(0, delayMillis), () => this.#run(), 'nothing')
  }

  #run(): void {
    const { clock, inventory, options } = this.#engine
    this.#nextAt = Number.POSITIVE_INFINITY
    const now = clock.now()
    this.#engine.onHeartbeat(now)
    const due = Math.min(this.#retireAged(now), this.#reportLeaks(now), this.#keepAlive(now))
    this.#surplus.run(now)
    this.#keepMinimum()
    this.#examineOnce()
    if (inventory.size > 0 || options.min > 0) this.runBy(Math.min(due, now + HEARTBEAT_MILLIS))
  }

  /** Retires idle connections that are too old, or idle for too long. Returns when the next one will be. */
  #retireAged(now: number): number {
    const { inventory, options } = this.#engine
    const { retirement } = this.#parts
    let due = Number.POSITIVE_INFINITY
    for (const connection of inventory.idle()) {
      const idleUntil = connection.idleSince + options.idleTimeoutMillis
      const isSurplus = inventory.idleCount > options.min
      if (connection.expiresAt <= now) retirement.retire(connection, 'expired')
      else if (isSurplus && idleUntil <= now) retirement.retire(connection, 'idle-timeout')
      else due = Math.min(due, connection.expiresAt, isSurplus ? idleUntil : due)
    }
    return due
  }

  /** Reports leases that last too long, once each. Returns when the next one will. */
  #reportLeaks(now: number): number {
    const { inventory, options, publisher } = this.#engine
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
        publisher.publish({
          type: 'connection-leak-suspected',
          connection,
          heldMillis,
          stack: lease.stack,
          ...connection.statements.use,
        })
      }
    }
    return due
  }

  /** Pings idle connections on which nothing was received for too long. Returns when the next one must be pinged. */
  #keepAlive(now: number): number {
    const { inventory, options } = this.#engine
    const { keepaliveMillis } = options
    let due = Number.POSITIVE_INFINITY
    if (keepaliveMillis === due) return due
    for (const connection of inventory.idle()) {
      const silentUntil = connection.liveness.answeredAt + keepaliveMillis
      if (silentUntil <= now) void this.#parts.healthCheck.ping(connection)
      else due = Math.min(due, silentUntil)
    }
    return due
  }

  #keepMinimum(): void {
    const { inventory, options } = this.#engine
    const missing = options.min - inventory.idleCount - inventory.openingCount - inventory.count('checking')
    const room = options.max - inventory.size - inventory.asking
    if (missing > 0) this.#parts.connectScheduler.open(Math.min(missing, room))
  }

  #examineOnce(): void {
    const { inventory, capacity } = this.#engine
    if (this.#hasCheckedCapacity || !capacity || !inventory.next) return
    this.#hasCheckedCapacity = true
    void this.#parts.healthCheck.askIdle((connection) => capacity.check(connection))
  }
}
