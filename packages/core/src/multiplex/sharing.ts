import type { Connection } from '../connection/connection.ts'
import { mayBeFollowed } from '../connection/leased-client-factory.ts'
import { Pace } from '../policy/pace.ts'
import { afterPatience, type Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { ReadTexts } from './read-texts.ts'
import { Readers, type SharedRead } from './readers.ts'

/** How often it is checked whether a read in front is in the way of others, in milliseconds. */
const CHECK_MILLIS = 25

/** What sharing needs to know. */
export interface SharingParts {
  readonly clock: Clock
  /** How many reads may be in flight on a connection. */
  readonly maxPipeline: number
  /** Whether the connection may be used again as it is. */
  readonly isUsable: (connection: Connection, now: number) => boolean
}

/**
 * The connections that plain reads share. A read leases an idle connection as any statement does; others may be sent behind it,
 * and the lease ends when all are answered. Some of these connections drain: they take no more reads, since waiters need them
 * for themselves.
 */
export class Sharing {
  readonly #parts: SharingParts
  readonly #texts = new ReadTexts()
  readonly #pace = new Pace()
  readonly #readers = new Map<Connection, Readers>()
  #isWatching = false
  #areSomeDraining = false

  constructor(parts: SharingParts) {
    this.#parts = parts
  }

  /** Whether a read may follow another one: its text is known to be a plain read, and to be fast. */
  mayFollow(read: SharedRead): boolean {
    read.known ??= this.#texts.of(read.sharedText)
    const { isPlainRead, meanMillis } = read.known
    return isPlainRead && meanMillis !== undefined && !this.#pace.isSlow(meanMillis)
  }

  /** A read has leased a connection. If it is a plain one, others may follow it. */
  begin(connection: Connection, read: SharedRead): void {
    read.known ??= this.#texts.of(read.sharedText)
    if (!read.known.isPlainRead) return
    let readers = this.#readers.get(connection)
    if (!readers) {
      readers = new Readers(connection)
      this.#readers.set(connection, readers)
    }
    readers.add(read, connection.lease.since)
  }

  /** The connection with the fewest reads in flight, if it takes one more. */
  room(now: number): Readers | undefined {
    let least: Readers | undefined
    let fewest = this.#parts.maxPipeline
    const { youngMillis } = this.#pace
    for (const readers of this.#readers.values()) {
      const { count } = readers
      if (count === 0 || count >= fewest || readers.isDraining || now - readers.frontSince > youngMillis) continue
      if (!this.#takesMore(readers.connection, now)) continue
      least = readers
      fewest = count
    }
    return least
  }

  /** Sends a read, which was asked for at that time, behind these. */
  follow(readers: Readers, read: SharedRead, askedAt: number, now: number): void {
    readers.add(read, now)
    if (!this.#isWatching) this.#watch()
    read.follow(readers.connection, askedAt)
  }

  /** A read of this connection has ended. Returns whether the lease goes on, for the others. */
  leave(connection: Connection, read: SharedRead, now: number): boolean {
    const readers = this.#readers.get(connection)
    if (!readers || readers.count === 0) return false
    const { frontSince, wasFrontFirst } = readers
    const wasInFront = readers.isFront(read)
    readers.remove(read, now)
    read.wasFollowed = readers.count > 0
    if (connection.isLost || connection.isGone()) {
      readers.lost()
      if (readers.count === 0) this.#readers.delete(connection)
      return readers.count > 0
    }
    if (wasInFront) {
      read.known?.took(now - frontSince)
      this.#pace.took(now - frontSince, wasFrontFirst)
    }
    if (readers.count === 0) return false
    const { session, lease } = connection
    if (session.isReady && session.transactionStatus !== 'I')
      connection.markLost(new Error('BUG: a read has begun a transaction on a connection that others share'))
    // What follows concerns the read that is in front now, which is another caller's.
    lease.since = now
    lease.hasWorked = false
    return true
  }

  /** Whether a read is in flight that others may follow. Asked each time that a connection is free while callers wait. */
  get isSharing(): boolean {
    for (const { count } of this.#readers.values()) if (count > 0) return true
    return false
  }

  /** How many connections are shared, those that drain included. */
  get count(): number {
    let count = 0
    for (const readers of this.#readers.values()) if (readers.count > 0) count++
    return count
  }

  /** Has this many connections drain: those that do already, then those with the fewest reads. */
  drain(wanted: number): void {
    if (wanted === 0 && !this.#areSomeDraining) return
    this.#areSomeDraining = wanted > 0
    let missing = wanted
    for (const readers of this.#readers.values())
      if (readers.count > 0 && readers.isDraining) readers.isDraining = --missing >= 0
    for (; missing > 0; missing--) {
      const least = this.#leastLoaded()
      if (!least) return
      least.isDraining = true
    }
  }

  #leastLoaded(): Readers | undefined {
    let least: Readers | undefined
    for (const readers of this.#readers.values())
      if (readers.count > 0 && !readers.isDraining && (!least || readers.count < least.count)) least = readers
    return least
  }

  #takesMore(connection: Connection, now: number): boolean {
    const { session, pipeline, liveness, lease } = connection
    if (session.isDirect !== true || session.transactionStatus !== 'I' || !pipeline.mayFollow) return false
    if (liveness.suspect || lease.isListenedTo || !connection.is('leased') || !mayBeFollowed(connection.client))
      return false
    return this.#parts.isUsable(connection, now)
  }

  /** One timer for all, which runs while reads are behind others. */
  #watch(): void {
    this.#isWatching = true
    inNoContext(() => afterPatience(this.#parts.clock, CHECK_MILLIS, 'nothing', () => this.#check()))
  }

  #check(): void {
    const now = this.#parts.clock.now()
    const { stallMillis } = this.#pace
    this.#isWatching = false
    for (const [connection, readers] of this.#readers) {
      if (connection.isGone()) this.#readers.delete(connection)
      if (readers.count < 2) continue
      if (!this.#isWatching) this.#watch()
      if (now - readers.frontSince >= stallMillis) readers.stall()
    }
  }
}
