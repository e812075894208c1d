import type { Notification } from 'pg'
import type { Connection } from '../connection/connection.ts'
import { connectCauseOf, ListenTimeoutError, type Loss, PoolClosedError } from '../errors.ts'
import type { Retry } from '../options/read-values.ts'
import { pauseMillis } from '../policy/backoff.ts'
import { refusalOf } from '../policy/classify-error.ts'
import { mayConnectAgain } from '../policy/retry.ts'
import { abortReason, onAbort } from '../runtime/abort.ts'
import { afterPatience, type Cancel, type Clock, dateOf, pause } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import type { PoolEvent } from '../telemetry/events.ts'
import type { ConnectionInspection } from '../telemetry/status.ts'
import { askWhoServes } from './behind-pooler.ts'
import type { Handler } from './handlers.ts'
import { ListenSession } from './listen-session.ts'

const LONGEST_MILLIS = 2 ** 31 - 1

/** What listening needs of its pool. */
export interface ListeningParts {
  readonly clock: Clock
  readonly retry: Retry
  /** How long a call of `listen()` may take, in milliseconds. */
  readonly timeoutMillis: number
  /** Whether the process goes on as long as there is a handler. */
  readonly keepsProcess: boolean
  /** Opens a connection beside the pool's. */
  readonly open: (onLost: (connection: Connection, loss: Loss) => void) => Promise<Connection>
  readonly publish: (event: PoolEvent) => void
  /** Why nothing might be heard, as far as it is known: what is between the pool and its server. */
  readonly problem: () => Error | undefined
}

/** Since when no notification can come, and why. */
interface Outage {
  readonly from: number
  readonly cause: unknown
}

/**
 * The listening of a pool: one session for all channels, which is opened for the first handler, and closed after the last one. When
 * it is lost, another one listens to the same channels, and each handler is told of the gap.
 */
export class Listening {
  readonly #parts: ListeningParts
  readonly #handlers = new Map<string, Set<Handler>>()
  /** Tells the callers of `listen()` that wait. */
  readonly #waiting = new Set<(error: Error) => void>()
  #session: ListenSession | undefined
  #opening: Promise<ListenSession> | undefined
  #outage: Outage | undefined
  #lastFailure: unknown
  #isClosed = false
  #letProcessEnd: Cancel | undefined

  constructor(parts: ListeningParts) {
    this.#parts = parts
  }

  /** Adds a handler. Resolves when the server listens for it; if it rejects, the handler is gone. */
  async add(handler: Handler, signal: AbortSignal | undefined): Promise<void> {
    if (this.#isClosed) throw closed()
    if (signal?.aborted) throw abortReason(signal)
    this.#refuse()
    const { channel } = handler
    this.#handlers.set(channel, (this.#handlers.get(channel) ?? new Set()).add(handler))
    try {
      await this.#inTime(this.#listen(handler), signal)
    } catch (error) {
      void this.remove(handler)
      throw error
    }
  }

  /** Its connection, if it has one: for `pool.inspect()`. */
  inspect(now: number): ConnectionInspection[] {
    return this.#session ? [this.#session.inspect(now)] : []
  }

  /** Removes a handler. Resolves when the server has stopped listening, if that was the last one of its channel. */
  async remove(handler: Handler): Promise<void> {
    const { channel } = handler
    const handlers = this.#handlers.get(channel)
    if (!handlers?.delete(handler) || handlers.size > 0) return
    this.#handlers.delete(channel)
    if (this.#handlers.size === 0) await this.#endSession()
    else await this.#session?.unlisten(channel).catch(() => {}) // Lost: then the next session doesn't listen to it.
  }

  /** Listens over another connection: those that were opened so far must not be used any more. */
  restart(cause: unknown, isInOtherProcess = false): void {
    const session = this.#session
    if (!session) return
    void (isInOtherProcess ? session.abandon() : session.close())
    this.#lose(session, cause)
  }

  /** The connections of the pool lead to this host from now on, and so must this one. */
  follow(to: { readonly host: string; readonly port: number }): void {
    if (this.#session && !this.#session.leadsTo(to))
      this.restart(new Error(`The pool has moved to ${to.host}:${to.port}`))
  }

  /** Removes all handlers, for good. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const tell of this.#waiting) tell(closed())
    this.#handlers.clear()
    await this.#endSession()
  }

  /** Settles like the promise, or rejects when the time is up, the signal is aborted, or the pool closes. */
  #inTime(listening: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const { clock, timeoutMillis } = this.#parts
    return new Promise<void>((resolve, reject) => {
      const late = (): void => reject(new ListenTimeoutError(timeoutMillis, this.#lastFailure))
      const cancelPatience = afterPatience(clock, timeoutMillis, 'process', late)
      const leaveSignal = signal && onAbort(signal, () => reject(abortReason(signal)))
      this.#waiting.add(reject)
      listening.then(resolve, reject).finally(() => {
        this.#waiting.delete(reject)
        cancelPatience()
        leaveSignal?.()
      })
    })
  }

  /** Goes on until the server listens, or the handler is removed. */
  async #listen(handler: Handler): Promise<void> {
    while (this.#handlers.get(handler.channel)?.has(handler)) {
      const session = await this.#current()
      try {
        await session.listen(handler.channel)
        handler.isListening = true
        return
      } catch (error) {
        if (!session.isLost) throw error
      }
    }
  }

  #current(): Promise<ListenSession> {
    if (this.#session) return Promise.resolve(this.#session)
    this.#opening ??= inNoContext(() => this.#open()).finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Tries until a session is open, or no handler is left. What no other try mends is told, unless a handler has listened before. */
  async #open(): Promise<ListenSession> {
    const { clock, retry, keepsProcess } = this.#parts
    // The sockets of a login keep no process.
    if (keepsProcess) this.#letProcessEnd ??= clock.schedule(LONGEST_MILLIS, () => {}, 'process')
    for (let failures = 1; ; failures++) {
      try {
        return await this.#begin()
      } catch (error) {
        this.#lastFailure = error
        const cause = connectCauseOf(error)
        if (!this.#isWanted || !(this.#hasListened || mayConnectAgain(cause, false))) throw error
        const isRefused = refusalOf(cause) !== undefined
        await pause(clock, pauseMillis(retry, failures, isRefused, clock.random()), 'nothing')
      }
    }
  }

  /** Opens a session, which listens to the channels of those that have listened before. */
  async #begin(): Promise<ListenSession> {
    const { clock, open, keepsProcess } = this.#parts
    if (!this.#isWanted) throw closed()
    const sessions = new Map<Connection, ListenSession>()
    const connection = await open((lost, { cause }) => this.#lose(sessions.get(lost), cause))
    const session = new ListenSession(connection, clock, (notification) => this.#tell(notification))
    sessions.set(connection, session)
    try {
      if (!this.#isWanted) throw closed()
      await askWhoServes(connection, clock)
      if (!this.#hasListened) this.#refuse()
      const channels = new Set(this.#all().flatMap(({ channel, isListening }) => (isListening ? channel : [])))
      await Promise.all([...channels].map((channel) => session.listen(channel)))
      if (connection.loss) throw connection.loss.cause
    } catch (error) {
      void session.close()
      throw error
    }
    this.#session = session
    if (keepsProcess) connection.client.ref()
    this.#freeProcess()
    this.#tellGap()
    return session
  }

  /** Another session listens from now on, unless this one doesn't listen so far, or no more. */
  #lose(session: ListenSession | undefined, cause: unknown): void {
    if (!session || this.#session !== session) return
    this.#session = undefined
    this.#outage ??= { from: session.aliveAt, cause }
    this.#parts.publish({ type: 'listening-lost', channels: this.#handlers.size, cause })
    if (this.#isWanted) this.#current().catch(() => {}) // It gives up when no handler is left.
  }

  #tellGap(): void {
    const { clock, publish } = this.#parts
    const outage = this.#outage
    if (!outage) return
    this.#outage = undefined
    const to = clock.wall()
    publish({ type: 'listening-again', channels: this.#handlers.size, gapMillis: Math.max(0, to - outage.from) })
    for (const handler of this.#all())
      if (handler.isListening) handler.tellGap({ from: dateOf(outage.from), to: dateOf(to), cause: outage.cause })
  }

  #tell(notification: Notification): void {
    for (const handler of [...(this.#handlers.get(notification.channel) ?? [])]) handler.tell(notification)
  }

  #all(): Handler[] {
    return [...this.#handlers.values()].flatMap((handlers) => [...handlers])
  }

  get #hasListened(): boolean {
    return this.#all().some(({ isListening }) => isListening)
  }

  #refuse(): void {
    const problem = this.#parts.problem()
    if (problem) throw problem
  }

  get #isWanted(): boolean {
    return !this.#isClosed && this.#handlers.size > 0
  }

  async #endSession(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    this.#outage = undefined
    this.#freeProcess()
    await session?.close()
  }

  #freeProcess(): void {
    this.#letProcessEnd?.()
    this.#letProcessEnd = undefined
  }
}

function closed(): Error {
  return new PoolClosedError('The pool is closed, and listens no more')
}
