import type { Connection } from '../connection/connection.ts'
import type { SharedText } from './shared-texts.ts'

/** A statement that may share a connection with others: a plain read, or a write if the user wants that. */
export interface SharedStatement {
  /** Its text. It belongs to one statement without a signal, a scope or a cursor. */
  readonly sharedText: string
  /** What is known of its text; undefined as long as that wasn't looked up. */
  known: SharedText | undefined
  /** Whether others were in flight behind it when it ended. */
  wasFollowed: boolean
  /** Whether its connection was lost while another one was in front. */
  wasBehindLost: boolean
  /** Sends it at once, behind those that are in flight on this connection. It was asked for at that time. */
  follow(connection: Connection, askedAt: number): void
  /** It only reads, and the one in front of it takes too long. */
  runElsewhere(): void
}

/** The statements that share one connection, in the order in which they were sent. Its lease lasts until all are answered. */
export class Sharers {
  readonly connection: Connection
  readonly #statements: SharedStatement[] = []
  /** Since when the one in front has been there. */
  frontSince = 0
  /** Whether nothing was in flight when that one was sent. */
  wasFrontFirst = false
  /** Whether writes may follow: no text in flight is known to be slow. */
  takesWrites = false
  /** Whether it takes no more, since a waiter needs it for itself. */
  isDraining = false

  constructor(connection: Connection) {
    this.connection = connection
  }

  /** How many are in flight. */
  get count(): number {
    return this.#statements.length
  }

  isFront(statement: SharedStatement): boolean {
    return this.#statements[0] === statement
  }

  /** The first one is about to be sent. */
  begin(statement: SharedStatement, now: number, isFast: boolean): void {
    this.isDraining = false
    this.takesWrites = isFast
    this.#front(now, true)
    this.#statements.push(statement)
  }

  /** Adds a fast one that is about to be sent. */
  add(statement: SharedStatement): void {
    this.#statements.push(statement)
  }

  /** Removes one that has ended. */
  remove(statement: SharedStatement, now: number): void {
    if (this.isFront(statement)) {
      this.#statements.shift()
      this.takesWrites = true
      this.#front(now, false)
      return
    }
    const place = this.#statements.indexOf(statement)
    if (place !== -1) this.#statements.splice(place, 1)
  }

  /** The one in front takes too long: reads behind it run elsewhere. Writes can't; returns whether there are some. */
  stall(): boolean {
    let isWriteBehind = false
    for (const statement of this.#statements.slice(1))
      if (statement.known?.kind === 'write') isWriteBehind = true
      else statement.runElsewhere()
    return isWriteBehind
  }

  /** The connection was lost. The server executed the one that was in front, which has just been removed. */
  lost(): void {
    for (const statement of this.#statements) statement.wasBehindLost = true
  }

  #front(now: number, wasFirst: boolean): void {
    this.frontSince = now
    this.wasFrontFirst = wasFirst
  }
}
