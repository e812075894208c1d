import type { EventEmitter } from 'node:events'
import { ReleaseError } from '../errors.ts'
import type { ResetPolicy } from '../options/pool-options.ts'
import type { PoolOptionsScope } from '../runtime/pool-options-scope.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'

/** The methods of an emitter that add a listener. */
export type Listening = 'on' | 'once' | 'prependListener' | 'prependOnceListener'

// biome-ignore lint/suspicious/noExplicitAny: the arguments of any event.
type Listener = (...all: any[]) => void

/** What the emitter calls. Node finds the caller's own function in `listener`, to list or remove it. */
type Wrapper = Listener & { readonly listener: Listener }

interface Added {
  readonly event: string | symbol
  readonly wrapper: Wrapper
}

/**
 * The listeners that one caller has added to a client. They are removed when the next lease begins: later events don't
 * concern this caller, and the listeners of all leases would accumulate.
 */
export class LeaseListeners {
  readonly #client: EventEmitter
  #added: Added[] = []

  constructor(client: EventEmitter) {
    this.#client = client
  }

  /** Adds a listener, which is called with the caller's own client as `this`. */
  add(how: Listening, event: string | symbol, listener: Listener, leasedClient: object): void {
    const isOnce = how === 'once' || how === 'prependOnceListener'
    const wrapper: Wrapper = Object.assign(
      (...all: unknown[]) => {
        if (isOnce) this.#remove(added)
        Reflect.apply(listener, leasedClient, all)
      },
      { listener },
    )
    const added = { event, wrapper }
    this.#added.push(added)
    if (how === 'prependListener' || how === 'prependOnceListener') this.#client.prependListener(event, wrapper)
    else this.#client.on(event, wrapper)
  }

  /** Removes the latest addition of this listener. False if this caller hasn't added it. */
  remove(event: string | symbol, listener: Listener): boolean {
    const added = this.#added.findLast((each) => each.event === event && each.wrapper.listener === listener)
    if (added) this.#remove(added)
    return added !== undefined
  }

  /** Forgets listeners that the emitter has removed: those of one event, or all. */
  forget(event: string | symbol | undefined): void {
    this.#added = event === undefined ? [] : this.#added.filter((each) => each.event !== event)
  }

  /** Removes all of them. */
  removeAll(): void {
    for (const { event, wrapper } of this.#added) this.#client.removeListener(event, wrapper)
    this.#added = []
  }

  #remove(added: Added): void {
    this.#added.splice(this.#added.indexOf(added), 1)
    this.#client.removeListener(added.event, added.wrapper)
  }
}

/** The message for a statement after the release. */
export const RELEASED = 'This client has been released to the pool: it may not be used any more.'

/** What a lease is granted for. */
export interface LeaseTerms {
  /** The caller's own options, where they differ from the pool's. */
  readonly options?: PoolOptionsScope | undefined
  /** The stack of the call that acquired it, if the pool detects leaks. */
  readonly stack?: string | undefined
}

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
  /** The number of the lease that a caller has; 0 if none. */
  #heldNumber = 0
  #listeners: LeaseListeners | undefined = undefined

  /** Begins the next lease. */
  begin(now: number, terms: LeaseTerms | undefined, askedAt: number): void {
    this.number++
    if (this.#listeners) this.#removeListeners(this.#listeners)
    this.since = now
    this.askedAt = askedAt
    this.resetOnReturn = terms?.options?.resetOnReturn
    this.attempt = terms?.options?.attempt
    this.begunIn = terms?.options?.begunIn
    this.stack = terms?.stack
    this.isOverdue = false
    this.hasWorked = false
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

  #removeListeners(listeners: LeaseListeners): void {
    this.#listeners = undefined
    listeners.removeAll()
  }
}
