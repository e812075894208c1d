import type { Connection } from '../connection/connection.ts'
import { ping } from '../connection/internal-query.ts'
import { inNoContext } from '../runtime/context.ts'
import type { EngineContext } from './engine-context.ts'
import type { Usability } from './usability.ts'

/** What the pool itself asks the server over an idle connection, which can't be leased meanwhile. */
export class HealthCheck {
  readonly #engine: EngineContext
  readonly #usability: Usability

  constructor(engine: EngineContext, usability: Usability) {
    this.#engine = engine
    this.#usability = usability
  }

  /** Pings a connection: for the first waiter, or so that firewalls don't forget an idle one. */
  ping(connection: Connection): Promise<void> {
    return inNoContext(() => this.#ping(connection))
  }

  /** Has a connection prove that it is alive, in the way in which it must, for the first waiter. */
  prove(connection: Connection, now: number): void {
    if (this.#usability.proofDue(connection, now) === 'read') inNoContext(() => this.#readSocket(connection))
    else void this.ping(connection)
  }

  /** Asks something over the idle connection that is leased next; undefined if there is none. */
  askIdle<Answer>(question: (connection: Connection) => Promise<Answer>): Promise<Answer> | undefined {
    const { next } = this.#engine.inventory
    return next && inNoContext(() => this.#askIdle(next, question))
  }

  async #askIdle<Answer>(
    connection: Connection,
    question: (connection: Connection) => Promise<Answer>,
  ): Promise<Answer> {
    this.#take(connection)
    try {
      return await question(connection)
    } finally {
      if (connection.is('checking')) this.#giveBack(connection, this.#engine.clock.now())
    }
  }

  async #ping(connection: Connection): Promise<void> {
    const { options, clock, publisher } = this.#engine
    const { pingTimeoutMillis, pooledPingTimeoutMillis } = options
    const startedAt = clock.now()
    this.#take(connection)
    connection.isPinged = true
    const isPooled = connection.session.isDirect === false
    await ping(connection, clock, isPooled ? pooledPingTimeoutMillis : pingTimeoutMillis)
    connection.isPinged = false
    if (!connection.is('checking')) return // Lost or invalidated meanwhile: already retired.
    this.#usability.notePingAnswered()
    publisher.counts.pingsAnswered++
    const now = clock.now()
    publisher.publish({ type: 'connection-pinged', connection, tookMillis: now - startedAt })
    this.#giveBack(connection, now)
  }

  /** The event loop was blocked, so that the message that ends the session may lie unread in the socket. */
  #readSocket(connection: Connection): void {
    const { clock } = this.#engine
    this.#take(connection)
    clock.afterReading(() => {
      if (connection.is('checking')) this.#giveBack(connection, clock.now())
    })
  }

  #take(connection: Connection): void {
    this.#engine.inventory.takeIdle(connection)
    connection.move('checking')
  }

  /** A connection that no waiter needs has been idle all the time. */
  #giveBack(connection: Connection, now: number): void {
    this.#engine.makeAvailable(connection, now, true, connection.idleSince)
  }
}
