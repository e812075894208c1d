import type { Connection } from '../connection/connection.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Inventory } from './inventory.ts'

/** The only way out of the pool: frees the slot at once, and keeps a connection in sight until its socket is closed. */
export class Departures {
  readonly #inventory: Inventory
  readonly #publisher: Publisher
  readonly #closeTimeoutMillis: number
  readonly #closing = new Set<Connection>()
  #onAllClosed: (() => void) | undefined

  constructor(inventory: Inventory, publisher: Publisher, closeTimeoutMillis: number) {
    this.#inventory = inventory
    this.#publisher = publisher
    this.#closeTimeoutMillis = closeTimeoutMillis
  }

  /** Retires a connection, whatever its state; a second time does nothing. */
  retire(connection: Connection, reason: RetireReason, cause?: unknown): void {
    if (connection.is('closing', 'closed')) return
    const wasOpen = connection.openedAt !== undefined
    this.#inventory.remove(connection)
    this.#closing.add(connection)
    const why = cause instanceof Error ? cause : new Error(`The pool closed it: ${reason}`)
    const closed = connection.close(this.#closeTimeoutMillis, why)
    // Told when it is done: a listener may release, or acquire.
    if (wasOpen) this.#publisher.publish({ type: 'connection-retired', connection, reason, cause })
    void closed.then(() => {
      this.#closing.delete(connection)
      if (wasOpen) this.#publisher.publish({ type: 'connection-closed', connection })
      if (this.#isAllClosed()) this.#onAllClosed?.()
    })
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
    for (const connection of this.#closing) connection.destroy()
  }

  #isAllClosed(): boolean {
    return this.#inventory.size + this.#closing.size === 0
  }
}
