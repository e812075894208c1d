import type { Connection } from '../connection/connection.ts'
import { mayBeFollowed } from '../connection/leased-client-factory.ts'
import { Pace } from '../policy/pace.ts'
import { afterPatience, type Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { type SharedText, SharedTexts } from './shared-texts.ts'
import { type SharedStatement, Sharers } from './sharers.ts'

/** How often it is checked whether a statement in front is in the way of others, in milliseconds. */
const CHECK_MILLIS = 25

/** What sharing needs to know. */
export interface SharingParts {
  readonly clock: Clock
  /** How many statements may be in flight on a connection. */
  readonly maxPipeline: number
  /** Whether writes share, too. */
  readonly pipelineWrites: boolean
  /** Whether the connection may be used again as it is. */
  readonly isUsable: (connection: Connection, now: number) => boolean
}

/**
 * The connections that plain reads share, and writes if the user wants that. A statement leases an idle connection as any other
 * does; others may be sent behind it, and the lease ends when all are answered. Some of these connections drain: they take no
 * more, since waiters need them for themselves.
 */
export class Sharing {
  readonly #parts: SharingParts
  readonly #texts: SharedTexts
  readonly #pace = new Pace()
  readonly #sharers = new Map<Connection, Sharers>()
  #isWatching = false
  #areSomeDraining = false

  constructor(parts: SharingParts) {
    this.#parts = parts
    this.#texts = new SharedTexts(parts.pipelineWrites)
  }

  /** Whether a statement may follow another one: its text is known to be of a kind that shares, and to be fast. */
  mayFollow(statement: SharedStatement): boolean {
    statement.known ??= this.#texts.of(statement.sharedText)
    return this.#isFast(statement.known)
  }

  #isFast({ kind, meanMillis }: SharedText): boolean {
    return kind !== undefined && meanMillis !== undefined && !this.#pace.isSlow(meanMillis)
  }

  /** A statement has leased a connection. If it is of a kind that shares, others may follow it. */
  begin(connection: Connection, statement: SharedStatement): void {
    statement.known ??= this.#texts.of(statement.sharedText)
    if (!statement.known.kind) return
    let sharers = this.#sharers.get(connection)
    if (!sharers) {
      sharers = new Sharers(connection)
      this.#sharers.set(connection, sharers)
    }
    sharers.begin(statement, connection.lease.since, this.#isFast(statement.known))
  }

  /** The connection with the fewest statements in flight, if it takes this one more. */
  room({ known }: SharedStatement, now: number): Sharers | undefined {
    const isWrite = known?.kind === 'write'
    let least: Sharers | undefined
    let fewest = this.#parts.maxPipeline
    const { youngMillis } = this.#pace
    for (const sharers of this.#sharers.values()) {
      const { count } = sharers
      if (count === 0 || count >= fewest || sharers.isDraining || now - sharers.frontSince > youngMillis) continue
      if ((isWrite && !sharers.takesWrites) || !this.#takesMore(sharers.connection, now)) continue
      least = sharers
      fewest = count
    }
    return least
  }

  /** Sends a statement, which was asked for at that time, behind these. */
  follow(sharers: Sharers, statement: SharedStatement, askedAt: number): void {
    sharers.add(statement)
    if (!this.#isWatching) this.#watch()
    statement.follow(sharers.connection, askedAt)
  }

  /** A statement of this connection has ended. Returns whether the lease goes on, for the others. */
  leave(connection: Connection, statement: SharedStatement, now: number): boolean {
    const sharers = this.#sharers.get(connection)
    if (!sharers || sharers.count === 0) return false
    const { frontSince, wasFrontFirst } = sharers
    const wasInFront = sharers.isFront(statement)
    sharers.remove(statement, now)
    statement.wasFollowed = sharers.count > 0
    if (connection.isLost || connection.isGone()) {
      sharers.lost()
      if (sharers.count === 0) this.#sharers.delete(connection)
      return sharers.count > 0
    }
    if (wasInFront) {
      statement.known?.took(now - frontSince)
      this.#pace.took(now - frontSince, wasFrontFirst)
    }
    if (sharers.count === 0) return false
    const { session, lease } = connection
    if (session.isReady && session.transactionStatus !== 'I')
      connection.markLost(new Error('BUG: a statement has begun a transaction on a connection that others share'))
    // What follows concerns the statement that is in front now, which is another caller's.
    lease.since = now
    lease.hasWorked = false
    return true
  }

  /** Whether a statement is in flight that others may follow. Asked each time that a connection is free while callers wait. */
  get isSharing(): boolean {
    for (const { count } of this.#sharers.values()) if (count > 0) return true
    return false
  }

  /** How many connections are shared, those that drain included. */
  get count(): number {
    let count = 0
    for (const sharers of this.#sharers.values()) if (sharers.count > 0) count++
    return count
  }

  /** Has this many connections drain: those that do already, then those with the fewest statements. */
  drain(wanted: number): void {
    if (wanted === 0 && !this.#areSomeDraining) return
    this.#areSomeDraining = wanted > 0
    let missing = wanted
    for (const sharers of this.#sharers.values())
      if (sharers.count > 0 && sharers.isDraining) sharers.isDraining = --missing >= 0
    for (; missing > 0; missing--) {
      const least = this.#leastLoaded()
      if (!least) return
      least.isDraining = true
    }
  }

  #leastLoaded(): Sharers | undefined {
    let least: Sharers | undefined
    for (const sharers of this.#sharers.values())
      if (sharers.count > 0 && !sharers.isDraining && (!least || sharers.count < least.count)) least = sharers
    return least
  }

  #takesMore(connection: Connection, now: number): boolean {
    const { session, pipeline, liveness, lease } = connection
    if (session.isDirect !== true || session.transactionStatus !== 'I' || !pipeline.mayFollow) return false
    if (liveness.suspect || lease.isListenedTo || !connection.is('leased') || !mayBeFollowed(connection.client))
      return false
    return this.#parts.isUsable(connection, now)
  }

  /** One timer for all, which runs while statements are behind others. */
  #watch(): void {
    this.#isWatching = true
    inNoContext(() => afterPatience(this.#parts.clock, CHECK_MILLIS, 'nothing', () => this.#check()))
  }

  #check(): void {
    const now = this.#parts.clock.now()
    const { stallMillis } = this.#pace
    this.#isWatching = false
    for (const [connection, sharers] of this.#sharers) {
      if (connection.isGone()) this.#sharers.delete(connection)
      if (sharers.count < 2) continue
      if (!this.#isWatching) this.#watch()
      if (now - sharers.frontSince >= stallMillis && sharers.stall()) connection.cancellation.makeWay()
    }
  }
}
