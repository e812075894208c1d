import type { Connection } from '../connection/connection.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Inventory } from './inventory.ts'

/** How often upkeep looks, at the least, in milliseconds: a look that comes much later means the process stood still. */
export const HEARTBEAT_MILLIS = 1000

/** What upkeep works on. */
export interface UpkeepParts {
  readonly clock: Clock
  readonly inventory: Inventory
  readonly min: number
  readonly idleTimeoutMillis: number
  readonly retire: (connection: Connection, reason: RetireReason) => void
  /** Opens so many connections that nobody waits for yet. */
  readonly refill: (count: number) => void
  /** Called at each look. */
  readonly onHeartbeat: () => void
}

/** The periodic chores: retires what has aged, keeps `min` ready. One timer, which keeps no process alive. */
export class Upkeep {
  readonly #parts: UpkeepParts
  #cancel: Cancel | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  /** Looks again no later than in `millis`. Call it when something will be due that wasn't known before. */
  lookWithin(millis: number): void {
    const { clock } = this.#parts
    const at = clock.now() + Math.min(millis, HEARTBEAT_MILLIS)
    if (this.#stopped || at >= this.#nextAt) return
    this.#cancel?.()
    this.#nextAt = at
    this.#cancel = clock.schedule(at - clock.now(), () => this.#look(), 'nothing')
  }

  /** No more looks. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #look(): void {
    this.#nextAt = Number.POSITIVE_INFINITY
    this.#parts.onHeartbeat()
    const now = this.#parts.clock.now()
    const due = this.#retireAged(now)
    this.#keepReady()
    if (this.#parts.inventory.size > 0 || this.#parts.min > 0) this.lookWithin(due - now)
  }

  /** Retires idle connections that are too old, or idle for too long; answers when the next one will be. */
  #retireAged(now: number): number {
    const { inventory, min, idleTimeoutMillis, retire } = this.#parts
    let due = Number.POSITIVE_INFINITY
    for (const connection of inventory.idle()) {
      const idleUntil = connection.idleSince + idleTimeoutMillis
      const surplus = inventory.idleCount > min
      if (connection.expiresAt <= now) retire(connection, 'expired')
      else if (surplus && idleUntil <= now) retire(connection, 'idle-timeout')
      else due = Math.min(due, connection.expiresAt, surplus ? idleUntil : due)
    }
    return due
  }

  #keepReady(): void {
    const { inventory, min, refill } = this.#parts
    const missing = min - inventory.idleCount - inventory.count('opening')
    if (missing > 0) refill(missing)
  }
}
