import type { ResetPolicy } from '../options/pool-options.ts'
import type { Attempt } from '../runtime/attempt.ts'
import type { Scope } from '../runtime/scope.ts'

/** What a lease is granted for. */
export interface LeaseTerms {
  /** The caller's wishes, where they differ from the pool's options, and what it is for. */
  readonly options?: Scope | undefined
  /** Where it was acquired, if leaks are looked for. */
  readonly stack?: string | undefined
}

/** The right to use a connection, granted anew each time: who has it, since when, and what it is to end with. */
export class Lease {
  /** Counts up from 1: how often the connection has been leased. */
  number = 0
  since = 0
  /** What to reset the session by, if not by the pool's policy. */
  resetOnReturn: ResetPolicy | undefined = undefined
  /** Where it was acquired, if leaks are looked for. */
  holder: string | undefined = undefined
  /** The attempt at a transaction that it is part of. */
  attempt: Attempt | undefined = undefined
  /** The attempt, ended by then, in which whoever acquired it was begun. */
  begunIn: Attempt | undefined = undefined
  /** Whether it has been told to last too long. */
  isOverdue = false
  /** Whether anything was sent. */
  hasWorked = false
  #heldNumber = 0

  /** Begins the next lease. */
  begin(now: number, terms: LeaseTerms | undefined): void {
    this.#heldNumber = ++this.number
    this.since = now
    this.resetOnReturn = terms?.options?.resetOnReturn
    this.attempt = terms?.options?.attempt
    this.begunIn = terms?.options?.begunIn
    this.holder = terms?.stack
    this.isOverdue = false
    this.hasWorked = false
  }

  /** Whether the lease with this number hasn't been given back. */
  isHeld(number: number): boolean {
    return this.#heldNumber === number
  }

  /** Given back. */
  end(): void {
    this.#heldNumber = 0
  }
}
