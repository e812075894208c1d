import type { Client } from 'pg'
import { type DriverInternals, type DriverQuery, internalsOf } from './internals.ts'
import { keepListening } from './kept-listeners.ts'

/**
 * Stands between the driver and its line of statements, which it goes through one by one, each when the one before it is
 * answered. Some are sent earlier, some kept back.
 */
export class Pipeline {
  readonly #internals: DriverInternals
  readonly #pulse: () => void
  /** Sent already: all that is left to the driver is to wait for the answers, which come in this order. */
  readonly #early: DriverQuery[] = []
  #holds = 0

  constructor(client: Client) {
    const internals = internalsOf(client)
    const { connection, _pulseQueryQueue: pulse } = internals
    this.#internals = internals
    this.#pulse = () => pulse.call(internals)
    internals._pulseQueryQueue = () => this.#next()
    // Before the driver tells all those in line that the connection is gone.
    const giveBack = (): void => {
      internals._queryQueue.unshift(...this.#early.splice(0))
    }
    keepListening(connection, 'error', giveBack, 'first')
    keepListening(connection, 'end', giveBack, 'first')
  }

  /** Whether the server has answered everything that was sent, so that what is asked now is sent now. */
  get isIdle(): boolean {
    const { readyForQuery, _queryQueue: queue } = this.#internals
    return readyForQuery === true && queue.length === 0 && this.#early.length === 0 && this.#holds === 0
  }

  /**
   * Sends a statement at once, although the server still works on another. Not through the driver's line, since pg warns
   * whoever asks for something while anything is in it.
   */
  sendEarly(query: DriverQuery): void {
    const { _queryQueue: queue, connection } = this.#internals
    if (queue.at(-1) === query) queue.pop()
    const problem = query.submit(connection)
    query.submit = () => problem
    this.#early.push(query)
  }

  /** Keeps back what hasn't been sent, until the function that this returns is called. */
  hold(): () => void {
    this.#holds++
    return () => {
      this.#holds--
      this.#internals._pulseQueryQueue()
    }
  }

  #next(): void {
    const early = this.#internals.readyForQuery === true ? this.#early.shift() : undefined
    if (early) this.#internals._queryQueue.unshift(early)
    if (early || this.#holds === 0) this.#pulse()
  }
}
