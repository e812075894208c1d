import type { EventEmitter } from 'node:events'
import { ReleaseError } from '../errors.ts'
import type { ResetPolicy } from '../options/pool-options.ts'
import type { PoolOptionsScope } from '../runtime/pool-options-scope.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import { LeaseListeners } from './lease-listeners.ts'

/** What a statement is told that comes after the release. */
export const RELEASED = 'This client has been released to the pool: it may not be used any more.'

/** What a lease is granted for. */
export interface LeaseTerms {
  /** The caller's wishes, where they differ from the pool's options, and what it is for. */
  readonly options?: PoolOptionsScope | undefined
  /** Where it was acquired, if leaks are looked for. */
  readonly stack?: string | undefined
}

/** The right to use a connection, granted anew each time: who has it, since when, and what it is to end with. */
export class Lease {
  /** Counts up from 1: how often the connection has been leased. */
  number = 0
  since = 0
  /** When its holder asked for it: its deadline counts from there. */
  askedAt = 0
  /** What to reset the session by, if not by the pool's policy. */
  resetOnReturn: ResetPolicy | undefined = undefined
  /** Where it was acquired, if leaks are looked for. */
  holder: string | undefined = undefined
  /** The attempt at a transaction that it is part of. */
  attempt: TransactionAttempt | undefined = undefined
  /** The attempt, ended by then, in which whoever acquired it was begun. */
  begunIn: TransactionAttempt | undefined = undefined
  /** Whether it has been told to last too long. */
  isOverdue = false
  /** Whether anything was sent. */
  hasWorked = false
  #heldNumber = 0
  #listeners: LeaseListeners | undefined = undefined

  /** Begins the next lease. */
  begin(now: number, terms: LeaseTerms | undefined, askedAt: number): void {
    this.number++
    if (this.#listeners) this.#forgetListeners(this.#listeners)
    this.since = now
    this.askedAt = askedAt
    this.resetOnReturn = terms?.options?.resetOnReturn
    this.attempt = terms?.options?.attempt
    this.begunIn = terms?.options?.begunIn
    this.holder = terms?.stack
    this.isOverdue = false
    this.hasWorked = false
  }

  /** Lent to a caller, who will give it back. A statement of `pool.query` needs no such caller. */
  lend(): void {
    this.#heldNumber = this.number
  }

  /** Whether the lease with this number was lent, and hasn't been given back. */
  isHeld(number: number): boolean {
    return this.#heldNumber === number
  }

  /**
   * The lease with this number is given back.
   *
   * @throws {ReleaseError} if it was never lent, or has been given back.
   */
  end(number: number): void {
    if (!this.isHeld(number))
      throw new ReleaseError('Release called on client which has already been released to the pool.')
    this.#heldNumber = 0
  }

  /** What its holder has put on the client, until the next lease begins. */
  listenersOn(client: EventEmitter): LeaseListeners {
    this.#listeners ??= new LeaseListeners(client)
    return this.#listeners
  }

  #forgetListeners(listeners: LeaseListeners): void {
    this.#listeners = undefined
    listeners.removeAll()
  }
}
