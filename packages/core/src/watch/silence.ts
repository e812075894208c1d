import type { Candidate } from '../options/hosts.ts'
import type { SlowStatement } from '../telemetry/status.ts'
import type { SeenSession, ServerLife } from './look.ts'
import { lookDueMillis, type SessionLook, type SilentStatement } from './verdict.ts'

/** A statement, as the watch sees it. */
export interface WatchedStatement {
  readonly text: string | undefined
  readonly kind: SilentStatement['kind']
  /** Whether the server owes an answer: a cursor may rest between two portions. */
  readonly isOwed: boolean
}

/** What has passed through a socket. */
export interface Traffic {
  /** Undefined for a socket that doesn't count. */
  readonly bytesRead: number | undefined
  readonly bytesWritten: number
  /** Whether everything that was written has left this process. */
  readonly isFlushed: boolean
  /** Whether the socket is being read. */
  readonly isReading: boolean
}

/** A connection, as the watch sees it. */
export interface WatchedConnection {
  /** Whether a caller has it. */
  readonly isLeased: boolean
  readonly isLost: boolean
  readonly transactionStatus: 'I' | 'T' | 'E' | null
  readonly session: { readonly traffic: Traffic }
  /** Which of several hosts it leads to. */
  readonly candidate?: Candidate | undefined
  readonly statements: {
    readonly inFlight: {
      /** The statement that the server executes. */
      readonly first: WatchedStatement | undefined
      /** Whether no other one was sent. */
      readonly hasOneSent: boolean
    }
  }
  /** Whether statements of the pool's own were sent with it. */
  readonly pipeline: { readonly hasSentEarly: boolean }
}

/** The statement of a caller's that the server executes on this connection. */
export function executedBy({ isLeased, isLost, statements }: WatchedConnection): WatchedStatement | undefined {
  return isLeased && !isLost ? statements.inFlight.first : undefined
}

/** Whether the statement is outside of a transaction, and nothing was sent with it or after it. */
export function isAlone({ transactionStatus, statements, pipeline }: WatchedConnection): boolean {
  return transactionStatus === 'I' && statements.inFlight.hasOneSent && !pipeline.hasSentEarly
}

/** The transaction of a single statement, and the server that has shown it. */
export interface SeenTransaction extends ServerLife {
  /** 64 bits, as text. */
  readonly id: string
}

/** A moment before the statement was sent. */
export interface MomentBefore {
  readonly at: number
  /** How many bytes the connection had written. */
  readonly bytesWritten: number
}

/** One statement of a connection, from when it was first seen: how long it has been silent, and what the looks have shown. */
export class Silence {
  readonly statement: WatchedStatement
  readonly #connection: WatchedConnection
  readonly #before: MomentBefore
  readonly #silentMillis: number
  #bytesRead: number | undefined
  /** Since when no byte has come. */
  since: number
  /** How many looks it has had. */
  looks: number = 0
  /** When the next look is due. */
  lookAt: number
  /** The last look that may be confirmed by another one. */
  last: SessionLook | undefined
  /** Its transaction, if a look has shown the id. */
  transaction: SeenTransaction | undefined
  /** Whether its session is being ended. */
  isBeingEnded: boolean = false

  constructor(
    connection: WatchedConnection,
    statement: WatchedStatement,
    before: MomentBefore,
    now: number,
    silentMillis: number,
  ) {
    this.#connection = connection
    this.statement = statement
    this.#before = before
    this.#silentMillis = silentMillis
    this.#bytesRead = connection.session.traffic.bytesRead
    this.since = now
    this.lookAt = now + silentMillis
  }

  /** Whether its socket counts. Without that nothing is known. */
  get isCounted(): boolean {
    return this.#bytesRead !== undefined
  }

  /** Whether nothing was sent with its statement or after it. */
  get isOnlyOneSent(): boolean {
    return this.#connection.statements.inFlight.hasOneSent
  }

  /** Whether the same statement still waits for its answer, and not one byte has come. If one has, the silence begins again. */
  lasts(now: number): boolean {
    if (executedBy(this.#connection) !== this.statement || !this.statement.isOwed) return false
    const { bytesRead } = this.#connection.session.traffic
    if (bytesRead === this.#bytesRead) return true
    this.#bytesRead = bytesRead
    this.since = now
    this.looks = 0
    this.lookAt = now + this.#silentMillis
    this.last = undefined
    return false
  }

  /** It was looked at. The longer it takes, the longer is the pause until the next look. */
  nextLook(): void {
    this.looks++
    this.lookAt = this.since + lookDueMillis(this.#silentMillis, this.looks)
  }

  /** The facts for the judgement. */
  facts(): SilentStatement {
    const { text, kind } = this.statement
    return {
      text,
      kind,
      notBefore: this.#before.at,
      silentSince: this.since,
      writtenBytes: this.#connection.session.traffic.bytesWritten - this.#before.bytesWritten,
      isAlone: isAlone(this.#connection),
    }
  }

  /** What is told of a statement that takes long. */
  slow(sight: SeenSession, now: number): SlowStatement {
    const { waitEventType, waitEvent, blockedBy } = sight
    return Object.freeze({ silentMillis: now - this.since, waitEventType, waitEvent, blockedBy })
  }
}
