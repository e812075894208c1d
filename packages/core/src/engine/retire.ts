import type { Connection } from '../connection/connection.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { Publisher } from '../telemetry/events.ts'
import { isError } from '../thrown.ts'
import type { Inventory } from './inventory.ts'

/** The only way out of the pool: frees the slot at once, and keeps a connection in sight until its socket is closed. */
export class Retirements {
  readonly #inventory: Inventory
  readonly #publisher: Publisher
  readonly #closeTimeoutMillis: number
  readonly #closing = new Map<Connection, Promise<void>>()
  #onAllClosed: (() => void) | undefined

  constructor(inventory: Inventory, publisher: Publisher, closeTimeoutMillis: number) {
    this.#inventory = inventory
    this.#publisher = publisher
    this.#closeTimeoutMillis = closeTimeoutMillis
  }

  /** Retires a connection, whatever its state; a second time does nothing. */
  retire(connection: Connection, reason: RetireReason, cause?: unknown): void {
    if (connection.isShared) return this.abandon(connection, reason)
    this.#sendOff(connection, reason, cause, (why) => connection.close(this.#closeTimeoutMillis, why))
  }

  /** Brings a connection to its next lease, or among the idle. If a check throws on the way, it is retired: no slot is lost. */
  carefully(connection: Connection, bring: () => void): void {
    const { number } = connection.lease
    try {
      bring()
    } catch (error) {
      this.rescue(connection, number, error)
    }
  }

  /** An exception, unless a connection whose last lease was this one has got among the idle, or to its next lease. */
  rescue(connection: Connection, lastLease: number, error: unknown): void {
    const gotThere = connection.is('idle') || connection.lease.number !== lastLease
    if (!gotThere) this.retire(connection, 'reset-failed', error)
  }

  /** Retires a connection without a word to the server: its session may be somebody else's as well. */
  abandon(connection: Connection, reason: RetireReason): void {
    this.#sendOff(connection, reason, undefined, (why) => connection.abandon(why))
  }

  /** Resolves when those are closed that were retired up to now. */
  async closingClosed(): Promise<void> {
    await Promise.all(this.#closing.values())
  }

  /** Resolves when the pool owns nothing any more. */
  allClosed(): Promise<void> {
    if (this.#isAllClosed()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onAllClosed = resolve
    })
  }

  /** Waits for nobody's goodbye any longer. */
  destroyAll(): void {
    for (const connection of [...this.#closing.keys(), ...this.#inventory.asides]) connection.destroy()
  }

  #sendOff(connection: Connection, reason: RetireReason, cause: unknown, close: (why: Error) => Promise<void>): void {
    if (connection.isGone()) return
    const wasOpen = connection.openedAt !== undefined
    this.#inventory.remove(connection)
    const why = isError(cause) ? cause : new Error(`The pool closed it: ${reason}`)
    const closed = close(why).then(() => {
      this.#closing.delete(connection)
      if (wasOpen) this.#publisher.publish({ type: 'connection-closed', connection })
      if (this.#isAllClosed()) this.#onAllClosed?.()
    })
    this.#closing.set(connection, closed)
    // Told when it is done: a listener may release, or acquire.
    if (wasOpen) this.#publisher.publish({ type: 'connection-retired', connection, reason, cause })
  }

  #isAllClosed(): boolean {
    return this.#inventory.size + this.#inventory.asides.size + this.#closing.size === 0
  }
}
