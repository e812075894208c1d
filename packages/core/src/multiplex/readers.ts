import type { Connection } from '../connection/connection.ts'
import type { ReadText } from './read-texts.ts'

/** A read that may share a connection with others. */
export interface SharedRead {
  /** Its text. It belongs to one statement without a signal, a scope or a cursor. */
  readonly sharedText: string
  /** What is known of its text; undefined as long as that wasn't looked up. */
  known: ReadText | undefined
  /** Whether others were in flight behind it when it ended. */
  wasFollowed: boolean
  /** Whether its connection was lost while another read was in front. */
  wasBehindLost: boolean
  /** Sends it at once, behind the reads that are in flight on this connection. It was asked for at that time. */
  follow(connection: Connection, askedAt: number): void
  /** The read in front of it takes too long. */
  runElsewhere(): void
}

/** The reads that share one connection, in the order in which they were sent. Its lease lasts until all are answered. */
export class Readers {
  readonly connection: Connection
  readonly #reads: SharedRead[] = []
  /** Since when the read in front has been there. */
  frontSince = 0
  /** Whether nothing was in flight when that one was sent. */
  wasFrontFirst = false
  /** Whether it takes no more, since a waiter needs it for itself. */
  isDraining = false

  constructor(connection: Connection) {
    this.connection = connection
  }

  /** How many are in flight. */
  get count(): number {
    return this.#reads.length
  }

  isFront(read: SharedRead): boolean {
    return this.#reads[0] === read
  }

  /** Adds a read that is about to be sent. */
  add(read: SharedRead, now: number): void {
    if (this.#reads.length === 0) {
      this.isDraining = false
      this.#front(now, true)
    }
    this.#reads.push(read)
  }

  /** Removes a read that has ended. */
  remove(read: SharedRead, now: number): void {
    if (this.isFront(read)) {
      this.#reads.shift()
      this.#front(now, false)
      return
    }
    const place = this.#reads.indexOf(read)
    if (place !== -1) this.#reads.splice(place, 1)
  }

  /** The read in front takes too long: those behind it run elsewhere. */
  stall(): void {
    for (const read of this.#reads.slice(1)) read.runElsewhere()
  }

  /** The connection was lost. The server executed the read that was in front, which has just been removed. */
  lost(): void {
    for (const read of this.#reads) read.wasBehindLost = true
  }

  #front(now: number, wasFirst: boolean): void {
    this.frontSince = now
    this.wasFrontFirst = wasFirst
  }
}
