import { afterPatience } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { Looks } from './looks.ts'
import { executedBy, Silence, type WatchedConnection, type WatchedStatement } from './silence.ts'
import type { KnownSession, WatcherParts } from './watcher-parts.ts'

/** A statement is noticed when it has been in flight for a quarter of `silentMillis`, at most so many milliseconds. */
const LONGEST_TICK_MILLIS = 250
const SHORTEST_TICK_MILLIS = 25

/**
 * The watch: finds the statements whose connection is dead while they wait for their answer. It has one timer for the whole
 * pool, which runs only while something is in flight; a statement costs it nothing. What has been silent for long is looked at
 * from another session, with one question for all.
 */
export class Watcher<Connection extends WatchedConnection> {
  readonly #parts: WatcherParts<Connection>
  readonly #looks: Looks<Connection>
  readonly #tickMillis: number
  readonly #silences = new Map<Connection, Silence>()
  /** How many bytes each connection had written at the last tick. */
  readonly #written = new WeakMap<Connection, number>()
  #lastTickAt = 0
  #isOver = false
  /** Whether the timer runs. Read for each statement. */
  isAwake: boolean = false
  /** Whether a session of the pool didn't lead straight to its server. */
  isRefused: boolean = false

  constructor(parts: WatcherParts<Connection>) {
    this.#parts = parts
    const forget = (connection: Connection): void => this.#forget(connection)
    this.#looks = new Looks(parts, { silences: this.#silences, forget })
    this.#tickMillis = Math.min(LONGEST_TICK_MILLIS, Math.max(SHORTEST_TICK_MILLIS, parts.silentMillis / 4))
  }

  /** A session has said who it is, and leads straight to its server. */
  know(connection: Connection, session: KnownSession): void {
    this.#looks.know(connection, session)
  }

  /** A statement is about to be sent, and the timer doesn't run. */
  wake(): void {
    if (this.isAwake || this.#isOver) return
    this.isAwake = true
    this.#lastTickAt = this.#parts.clock.now()
    this.#noteWritten()
    this.#tickLater()
  }

  /** This process is a copy of the one that has set the timer. */
  restart(): void {
    this.isAwake = false
    this.#silences.clear()
  }

  /** Never looks again. */
  stop(): void {
    this.#isOver = true
  }

  #tickLater(): void {
    const { clock } = this.#parts
    const now = clock.now()
    let due = now + this.#tickMillis
    if (!this.#looks.isUnderWay) for (const { lookAt } of this.#silences.values()) due = Math.min(due, lookAt)
    const pause = Math.max(SHORTEST_TICK_MILLIS, due - now)
    inNoContext(() => afterPatience(clock, pause, 'nothing', () => this.#tick()))
  }

  #tick(): void {
    if (this.#isOver) return
    const now = this.#parts.clock.now()
    this.isAwake = this.#notice(now)
    this.#noteWritten()
    this.#lastTickAt = now
    this.#looks.lookIfDue(now)
    if (this.isAwake) this.#tickLater()
  }

  /** Notes what is in flight, and forgets what isn't any more. Returns whether anything is. */
  #notice(now: number): boolean {
    // A connection that was lost has left the pool by now.
    for (const connection of this.#silences.keys()) if (!executedBy(connection)) this.#forget(connection)
    let isBusy = false
    for (const connection of this.#parts.connections()) {
      const statement = executedBy(connection)
      if (!statement) continue
      isBusy = true
      this.#noteStatement(connection, statement, now)
    }
    return isBusy
  }

  #noteStatement(connection: Connection, statement: WatchedStatement, now: number): void {
    const known = this.#silences.get(connection)
    if (known && known.statement === statement && statement.isOwed) {
      if (!known.lasts(now)) this.#parts.onSlow(connection, undefined)
      return
    }
    if (known) this.#forget(connection)
    if (!statement.isOwed) return
    const before = { at: this.#lastTickAt, bytesWritten: this.#written.get(connection) ?? 0 }
    const silence = new Silence(connection, statement, before, now, this.#parts.silentMillis)
    if (silence.isCounted) this.#silences.set(connection, silence)
  }

  #forget(connection: Connection): void {
    this.#silences.delete(connection)
    this.#parts.onSlow(connection, undefined)
  }

  #noteWritten(): void {
    for (const connection of this.#parts.connections())
      this.#written.set(connection, connection.session.traffic.bytesWritten)
  }
}
