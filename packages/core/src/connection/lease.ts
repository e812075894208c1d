import type { AsyncResource } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import { ReleaseError } from '../errors.ts'
import type { ResetPolicy } from '../options/pool-options.ts'
import { thisContext } from '../runtime/context.ts'
import type { PoolOptionsScope } from '../runtime/pool-options-scope.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import type { FailedCall, MovableClient, RunElsewhere } from './first-call.ts'
import { LeaseListeners } from './lease-listeners.ts'

/** The message for a statement after the release. */
export const RELEASED = 'This client has been released to the pool: it may not be used any more.'

/** What a lease is granted for. */
export interface LeaseTerms {
  /** The caller's own options, where they differ from the pool's. */
  readonly options?: PoolOptionsScope | undefined
  /** The stack of the call that acquired it, if the pool detects leaks. */
  readonly stack?: string | undefined
}

/** A lease, as its client sees it. */
export interface LeaseView extends Pick<Lease, 'number' | 'isHeld' | 'listenersOn' | 'noteCall' | 'stay'> {}

/** The right to use a connection: which lease it is, since when, and what it ends with. */
export class Lease {
  /** Counts up from 1: how many leases the connection has had. */
  number = 0
  since = 0
  /** When the caller asked for it: the caller's deadline counts from there. */
  askedAt = 0
  /** How to reset the session, if not by the pool's policy. */
  resetOnReturn: ResetPolicy | undefined = undefined
  /** Where it was acquired, if the pool detects leaks. */
  stack: string | undefined = undefined
  /** The attempt at a transaction that it is part of. */
  attempt: TransactionAttempt | undefined = undefined
  /** The attempt in which its caller was started; it had ended when the caller acquired this lease. */
  begunIn: TransactionAttempt | undefined = undefined
  /** Whether a leak was reported. */
  isOverdue = false
  /** Whether a statement has ended, with an answer or an error. */
  hasWorked = false
  /** The caller's own options, where they differ from the pool's. */
  options: PoolOptionsScope | undefined = undefined
  /** Whether listeners were told that it has begun. */
  isListenedTo = false
  readonly #runElsewhere: RunElsewhere
  /** The number of the lease that a caller has; 0 if none. */
  #heldNumber = 0
  #listeners: LeaseListeners | undefined = undefined
  /** How often the client of the lease was asked to run a statement. */
  #queries = 0
  /** The first of them, while it is the only one and runs. */
  #client: MovableClient | undefined = undefined
  #args: readonly unknown[] | undefined = undefined
  #context: AsyncResource | undefined = undefined
  #reruns: object | undefined = undefined
  /** Whether a run of it is about to begin, and whether it has begun. */
  #isCalling = false
  #isRunning = false

  /** `runElsewhere` runs a failed first call again, on another connection; it returns false if it can't. */
  constructor(runElsewhere: RunElsewhere) {
    this.#runElsewhere = runElsewhere
  }

  /** Begins the next lease. */
  begin(now: number, terms: LeaseTerms | undefined, askedAt: number): void {
    this.number++
    if (this.#listeners) this.#removeListeners(this.#listeners)
    this.since = now
    this.askedAt = askedAt
    this.resetOnReturn = terms?.options?.resetOnReturn
    this.attempt = terms?.options?.attempt
    this.begunIn = terms?.options?.begunIn
    this.options = terms?.options
    this.stack = terms?.stack
    this.isOverdue = false
    this.isListenedTo = false
    this.hasWorked = false
    this.#queries = 0
    this.#forgetCall()
  }

  /** A caller gets the client, and has to release it. The lease of a `pool.query` has no such caller. */
  giveToCaller(): void {
    this.#heldNumber = this.number
  }

  /** Whether a caller has the lease with this number, and has not released it. */
  isHeld(number: number): boolean {
    return this.#heldNumber === number
  }

  /**
   * Ends the lease with this number.
   *
   * @throws {ReleaseError} if no caller has it, or it has ended.
   */
  end(number: number): void {
    if (!this.isHeld(number))
      throw new ReleaseError('Release called on client which has already been released to the pool.')
    this.#heldNumber = 0
  }

  /** The listeners that the caller has added to the client. They are removed when the next lease begins. */
  listenersOn(client: EventEmitter): LeaseListeners {
    this.#listeners ??= new LeaseListeners(client)
    return this.#listeners
  }

  /** The client of the lease is asked to run a statement. */
  noteCall(client: MovableClient, args: readonly unknown[], reruns?: object): void {
    if (this.#queries++ > 0) return this.#forgetCall()
    this.#client = client
    this.#args = args
    this.#isCalling = true
    this.#reruns = reruns
    if (this.isListenedTo) this.#context = thisContext()
  }

  /** The lease stays on its connection, since that was set up for it in a way that isn't known here. */
  stay(): void {
    this.#queries++
    this.#forgetCall()
  }

  /** Whether this statement is the first call of the lease. Called when its run begins. */
  beginsWith(statement: unknown): boolean {
    const isFirst = this.#isCalling && this.#args?.[0] === statement
    this.#isCalling = false
    if (isFirst) this.#isRunning = true
    return isFirst
  }

  /** The first call has ended, and its caller is told. */
  endFirst(): void {
    this.#forgetCall()
    this.resumeListeners()
  }

  /** The connection is lost. While it isn't clear whether the lease moves, its caller is told no event. */
  holdListeners(): void {
    if (this.#isRunning && this.#args) this.#listeners?.hold()
  }

  resumeListeners(): void {
    this.#listeners?.resume()
  }

  /** The lease goes on as this one, with its listeners. */
  moveListenersTo(next: Lease, client: EventEmitter): void {
    this.#listeners?.moveTo(client)
    next.#listeners = this.#listeners
    this.#listeners = undefined
  }

  /** Has the first call run on another connection; false if its caller has to be told of this error. */
  runElsewhere(failed: Omit<FailedCall, 'call'>): boolean {
    const client = this.#client
    const args = this.#args
    if (!client || !args || !this.isHeld(this.number)) return false
    return this.#runElsewhere({ ...failed, call: { client, args, context: this.#context, reruns: this.#reruns } })
  }

  #forgetCall(): void {
    this.#client = undefined
    this.#args = undefined
    this.#context = undefined
    this.#reruns = undefined
    this.#isCalling = false
    this.#isRunning = false
  }

  #removeListeners(listeners: LeaseListeners): void {
    this.#listeners = undefined
    listeners.removeAll()
  }
}
