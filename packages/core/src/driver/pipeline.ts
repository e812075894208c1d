import type { Duplex } from 'node:stream'
import { type Client, Query } from 'pg'
import { systemClock } from '../runtime/clock.ts'
import { type DriverInternals, type DriverQuery, internalsOf, type StatementDone } from './internals.ts'
import { keepListening } from './kept-listeners.ts'

/** A socket of the user's own making may lack these. */
type Corkable = Partial<Pick<Duplex, 'cork' | 'uncork'>>

/** Answers to the pool are texts, whatever type parsers the application has set. */
const TEXTS = { getTypeParser: () => String }

/** A statement of the pool's own, as the driver takes it. */
export function queryOf(sql: string, done: StatementDone): DriverQuery {
  const query = new Query<never, never>({ text: sql, types: TEXTS } as never) as unknown as DriverQuery
  query.callback = done
  return query
}

/** A question of the pool's own, in front of a statement: in the same write, or answered before the statement is sent. */
export interface Question {
  readonly query: DriverQuery
  readonly isInOneWrite: boolean
}

/** Calls `around` when the driver sends a statement that it has in its queue. */
export function whenSent(query: DriverQuery, around: (submit: () => Error | null) => Error | null): void {
  const { submit } = query
  query.submit = (connection) => around(() => submit.call(query, connection))
}

/** Puts a statement in front of the driver's queue: it is sent when the server is ready, before all that waits. */
export function enqueueFirst(internals: DriverInternals, query: DriverQuery): void {
  internals._queryQueue.unshift(query)
}

/**
 * The driver's queue of statements. The driver sends one at a time, each when the one before it is answered. This sends some
 * of them earlier, in the same write as the one before, and holds others back.
 */
export class Pipeline {
  readonly #internals: DriverInternals
  readonly #pulse: () => void
  /** Statements that were sent early. The driver only has to wait for their answers, which come in this order. */
  readonly #early: DriverQuery[] = []
  #holds = 0
  #isCorked = false
  /** Called with the statement that the driver is about to send. Returns a question that is to be sent before it. */
  onNext: ((query: DriverQuery) => Question | undefined) | undefined = undefined
  /** Called with a statement that is about to be sent behind others: see `follow`. */
  onFollow: ((query: DriverQuery) => void) | undefined = undefined

  constructor(client: Client) {
    const internals = internalsOf(client)
    const { connection, _pulseQueryQueue: pulse } = internals
    this.#internals = internals
    this.#pulse = () => pulse.call(internals)
    internals._pulseQueryQueue = () => this.#sendNext()
    // The driver is about to tell all statements in its queue that the connection is gone: those sent early are told, too.
    const giveBack = (): void => {
      internals._queryQueue.unshift(...this.#early.splice(0))
    }
    keepListening(connection, 'error', giveBack, 'first')
    keepListening(connection, 'end', giveBack, 'first')
  }

  /** Whether the server has answered everything that was sent and nothing waits, so that the next statement is sent at once. */
  get isIdle(): boolean {
    const { readyForQuery, _queryQueue: queue } = this.#internals
    return readyForQuery === true && queue.length === 0 && this.#early.length === 0 && this.#holds === 0
  }

  /** Whether statements were sent early, and are not answered. */
  get hasSentEarly(): boolean {
    return this.#early.length > 0
  }

  /** Whether the server owes an answer. */
  get isBusy(): boolean {
    return this.#internals.readyForQuery === false
  }

  /**
   * Sends a statement of the pool's own in its turn. It isn't refused outside a lease, and subclasses and instrumentations
   * that override `query` don't see it, since it isn't the application's.
   */
  send(sql: string, done: StatementDone): void {
    const { _queryable: isQueryable, _ending: isEnding } = this.#internals
    if (isQueryable && !isEnding) this.enqueue(queryOf(sql, done))
    else process.nextTick(done, new Error('The connection is closed'))
  }

  /** Puts a statement of the pool's own at the end of the queue. */
  enqueue(query: DriverQuery): void {
    this.#internals._queryQueue.push(query)
    this.#internals._pulseQueryQueue()
  }

  /** Runs `give`, which gives the driver a statement. Returns the statement if it has to wait in the queue. */
  queuedBy(give: () => void): DriverQuery | undefined {
    const { _queryQueue: queue } = this.#internals
    const { length } = queue
    give()
    return queue.length === length ? undefined : (queue.at(-1) as DriverQuery)
  }

  /** Runs `give`, which gives the driver a statement, and puts in the place of that what `replace` makes of it. */
  replaceQueued(give: () => void, replace: (query: DriverQuery) => DriverQuery): void {
    const resume = this.hold()
    try {
      const query = this.queuedBy(give)
      if (query) this.#internals._queryQueue.splice(-1, 1, replace(query))
    } finally {
      resume()
    }
  }

  /** Runs `give`, which enqueues statements: they are sent before all that waits now. */
  ahead(give: () => void): void {
    const { _queryQueue: queue } = this.#internals
    const waiting = queue.splice(0)
    try {
      give()
    } finally {
      queue.push(...waiting)
    }
  }

  /** Takes a statement out of the queue. False if it isn't there: it was sent, or has ended. */
  takeBack(query: unknown): boolean {
    const { _queryQueue: queue } = this.#internals
    const place = query === undefined ? -1 : queue.indexOf(query)
    if (place !== -1) queue.splice(place, 1)
    return place !== -1
  }

  /**
   * Sends a statement at once, although the server still executes another. It doesn't go through the driver's queue, since pg
   * warns about a `query` while there is something in it.
   */
  sendEarly(query: DriverQuery): void {
    const { _queryQueue: queue, connection } = this.#internals
    if (queue.at(-1) === query) queue.pop()
    const problem = query.submit(connection)
    query.submit = () => problem
    this.#early.push(query)
  }

  /** Whether a statement can be sent behind those in flight: nothing waits, and the socket takes what is written. */
  get mayFollow(): boolean {
    const { _queryQueue: queue, connection } = this.#internals
    return this.#holds === 0 && queue.length === 0 && connection.stream.writableNeedDrain !== true
  }

  /** Runs `give`, which gives the driver a statement of a caller's, and sends that at once, behind those in flight. */
  follow(give: () => void): void {
    this.#holdWrites()
    const query = this.queuedBy(give)
    if (!query) return
    this.onFollow?.(query)
    this.sendEarly(query)
  }

  /** What follows others is written when all that has arrived is read: one write for many statements. */
  #holdWrites(): void {
    const { stream } = this.#internals.connection as { readonly stream: Corkable }
    if (this.#isCorked || !stream.cork) return
    this.#isCorked = true
    stream.cork()
    systemClock.afterPendingInput(this.#releaseWrites)
  }

  readonly #releaseWrites = (): void => {
    const { stream } = this.#internals.connection as { readonly stream: Corkable }
    this.#isCorked = false
    stream.uncork?.()
  }

  /** Joins what is sent meanwhile into one write: one packet, and one TLS record. */
  inOneWrite(send: () => void): void {
    const { stream } = this.#internals.connection as { readonly stream: Corkable }
    stream.cork?.()
    try {
      send()
    } finally {
      stream.uncork?.()
    }
  }

  /** Holds back what hasn't been sent, until the returned function is called. */
  hold(): () => void {
    this.#holds++
    return () => {
      this.#holds--
      this.#internals._pulseQueryQueue()
    }
  }

  #sendNext(): void {
    const { readyForQuery: isReady, _queryQueue: queue } = this.#internals
    const early = isReady === true ? this.#early.shift() : undefined
    if (early) queue.unshift(early)
    else if (this.#holds > 0) return
    else if (this.onNext && isReady === true && queue.length > 0) {
      const next = queue[0] as DriverQuery
      const question = this.onNext(next)
      if (question) return this.#sendBefore(next, question)
    }
    this.#pulse()
  }

  /** What is sent last is the statement, so that the server has answered everything when it has answered the statement. */
  #sendBefore(next: DriverQuery, { query, isInOneWrite }: Question): void {
    const { _queryQueue: queue } = this.#internals
    const isAlone = queue.length === 1
    queue.unshift(query)
    this.inOneWrite(() => {
      this.#pulse()
      if (isInOneWrite && isAlone) this.sendEarly(next)
    })
  }
}
