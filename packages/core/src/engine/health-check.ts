import type { Connection } from '../connection/connection.ts'
import { ping } from '../connection/internal-query.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import type { Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Inventory } from './inventory.ts'
import type { Usability } from './trust.ts'

/** What a checkup takes. */
export interface HealthCheckParts {
  readonly options: Pick<ResolvedOptions, 'pingTimeoutMillis'>
  readonly clock: Clock
  readonly publisher: Publisher
  readonly inventory: Inventory
  readonly trust: Usability
  /** Asks the server, once and in the background, what the pool should know of it. */
  readonly examine?: ((connection: Connection) => Promise<void>) | undefined
  /** It has proven itself alive; if nobody wants it, it has been idle since then all the same. */
  readonly makeAvailable: (connection: Connection, now: number, idleSince: number) => void
}

/** What the pool itself asks the server over an idle connection, which nobody else gets meanwhile. */
export class HealthCheck {
  readonly #parts: HealthCheckParts

  constructor(parts: HealthCheckParts) {
    this.#parts = parts
  }

  /** Pings it: for the first waiter, or so that nobody on the way forgets it. */
  ping(connection: Connection): Promise<void> {
    return inNoContext(() => this.#ping(connection))
  }

  /** Has a connection give the proof that it owes, for the first waiter. */
  prove(connection: Connection, now: number): void {
    if (this.#parts.trust.proofDue(connection, now) === 'read') inNoContext(() => this.#read(connection))
    else void this.ping(connection)
  }

  /** Lets the server be examined over it. */
  examine(connection: Connection): Promise<void> {
    return inNoContext(() => this.#examine(connection))
  }

  async #ping(connection: Connection): Promise<void> {
    const { options, clock, publisher, trust } = this.#parts
    const startedAt = clock.now()
    this.#take(connection)
    connection.isPinged = true
    await ping(connection, clock, options.pingTimeoutMillis)
    connection.isPinged = false
    if (!connection.is('checking')) return // Lost or condemned meanwhile: already retired.
    trust.proved()
    const now = clock.now()
    publisher.publish({ type: 'connection-pinged', connection, tookMillis: now - startedAt })
    this.#giveBack(connection, now)
  }

  /** The news of its end may lie unread, since the event loop was blocked. */
  #read(connection: Connection): void {
    const { clock } = this.#parts
    this.#take(connection)
    clock.afterReading(() => {
      if (connection.is('checking')) this.#giveBack(connection, clock.now())
    })
  }

  async #examine(connection: Connection): Promise<void> {
    this.#take(connection)
    await this.#parts.examine?.(connection)
    if (connection.is('checking')) this.#giveBack(connection, this.#parts.clock.now())
  }

  #take(connection: Connection): void {
    this.#parts.inventory.takeIdle(connection)
    connection.move('checking')
  }

  #giveBack(connection: Connection, now: number): void {
    this.#parts.makeAvailable(connection, now, connection.idleSince)
  }
}
