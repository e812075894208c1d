import type { Connection } from '../connection/connection.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { isError } from '../thrown.ts'
import type { EngineContext } from './engine-context.ts'

/** The only way out of the pool. It frees the slot at once, and watches the connection until its socket is closed. */
export class Retirement {
  readonly #engine: EngineContext
  readonly #closing = new Map<Connection, Promise<void>>()
  #onAllClosed: (() => void) | undefined

  constructor(engine: EngineContext) {
    this.#engine = engine
  }

  /** Retires a connection, whatever its state; a second call does nothing. */
  retire(connection: Connection, reason: RetireReason, cause?: unknown): void {
    if (connection.isShared) return this.abandon(connection, reason)
    const { closeTimeoutMillis } = this.#engine.options
    this.#remove(connection, reason, cause, (why) => connection.close(closeTimeoutMillis, why))
  }

  /**
   * Retires a connection because a check threw this error, so that no slot is lost; unless the connection has become idle,
   * or has been leased again since lease number `lastLease`.
   */
  retireAfterError(connection: Connection, lastLease: number, error: unknown): void {
    const isInPlace = connection.is('idle') || connection.lease.number !== lastLease
    if (!isInPlace) this.retire(connection, 'reset-failed', error)
  }

  /** Retires a connection and sends nothing to the server, because another process may use the same session. */
  abandon(connection: Connection, reason: RetireReason): void {
    this.#remove(connection, reason, undefined, (why) => connection.abandon(why))
  }

  /** Resolves when all that were retired until now are closed. */
  async retiredClosed(): Promise<void> {
    await Promise.all(this.#closing.values())
  }

  /** Resolves when the pool has no connection left. */
  allClosed(): Promise<void> {
    if (this.#isAllClosed()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onAllClosed = resolve
    })
  }

  /** Destroys the sockets of all that are still closing, or that log in beside another one. */
  destroyAll(): void {
    for (const connection of [...this.#closing.keys(), ...this.#engine.inventory.asides]) connection.destroy()
  }

  #remove(connection: Connection, reason: RetireReason, cause: unknown, close: (why: Error) => Promise<void>): void {
    if (connection.isGone()) return
    const { inventory, publisher } = this.#engine
    const wasOpen = connection.openedAt !== undefined
    inventory.remove(connection)
    const why = isError(cause) ? cause : new Error(`The pool closed it: ${reason}`)
    const closed = close(why).then(() => {
      this.#closing.delete(connection)
      if (wasOpen) publisher.publish({ type: 'connection-closed', connection })
      if (this.#isAllClosed()) this.#onAllClosed?.()
    })
    this.#closing.set(connection, closed)
    // Published last, because a listener may release or acquire.
    if (wasOpen) publisher.publish({ type: 'connection-retired', connection, reason, cause })
  }

  #isAllClosed(): boolean {
    const { inventory } = this.#engine
    return inventory.size + inventory.asides.size + this.#closing.size === 0
  }
}
