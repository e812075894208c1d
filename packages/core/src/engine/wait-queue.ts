import { PoolOverloadedError, TransactionTimeoutError } from '../errors.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import { abortReason } from '../runtime/abort-reason.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import { onAbort } from '../runtime/on-abort.ts'
import type { Publisher } from '../telemetry/events.ts'
import { isInstance, toError } from '../thrown.ts'
import type { Caller } from './caller.ts'
import { isNested, STANDSTILL_MILLIS } from './deadlock.ts'
import { Waiter, WaiterList } from './waiter-list.ts'

/** What the line of callers works with. */
export interface WaitQueueParts {
  readonly options: Pick<ResolvedOptions, 'connectionTimeoutMillis' | 'maxWaiting'>
  readonly clock: Clock
  readonly publisher: Publisher
  /** How many connections aren't in use: open ones, and those that may be opened. */
  readonly spare: () => number
  /** Judges whether those who wait now wait for each other: answers what to tell one of them then. */
  readonly lookForDeadlock: () => (caller: Caller) => Error | undefined
  /** Whether so much time has passed without anything that nothing more will come. */
  readonly isStill: (now: number) => boolean
  /** What to tell somebody whose deadline has passed. */
  readonly timeoutError: (waitedMillis: number, now: number) => Error
  /** Nobody waits any more. */
  readonly onEmpty: () => void
}

/** The callers in line: who joins it, and who leaves it without a connection (too late, given up, refused). */
export class WaitQueue {
  readonly #parts: WaitQueueParts
  readonly #waiters = new WaiterList<Caller>()
  /** Who shares the pool's deadline leaves in the order of arrival: one timer, for the first, serves them all. */
  #cancelTimer: Cancel | undefined

  constructor(parts: WaitQueueParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#waiters.size
  }

  get first(): Waiter<Caller> | undefined {
    return this.#waiters.first
  }

  get last(): Waiter<Caller> | undefined {
    return this.#waiters.last
  }

  /** Joins the end of the line; false if the caller was refused. */
  join(caller: Caller, now: number): boolean {
    const { maxWaiting } = this.#parts.options
    // Who waits for a connection that may be opened or proven for him isn't in anybody's way.
    if (maxWaiting !== Number.POSITIVE_INFINITY && this.#waiters.size >= maxWaiting + this.#parts.spare()) {
      this.refuse(caller, new PoolOverloadedError(maxWaiting))
      return false
    }
    const timeout = this.#timeoutOf(caller)
    const waiter = new Waiter(caller, now, now + timeout)
    this.#waiters.join(waiter)
    this.#listenToSignal(waiter)
    if (caller.options?.connectionTimeoutMillis === undefined) this.#watch(timeout)
    else this.#watchAlone(waiter, timeout)
    if (timeout === Number.POSITIVE_INFINITY && isNested(caller)) this.#watchForDeadlock(waiter)
    return true
  }

  /**
   * Joins in front of all who came later than `since`, with what is left of its deadline; false if that is nothing, or it
   * has given up.
   */
  rejoin(caller: Caller, since: number, now: number): boolean {
    const until = since + this.#timeoutOf(caller)
    if (until <= now || caller.options?.signal?.aborted) return false
    const waiter = new Waiter(caller, since, until)
    this.#waiters.rejoin(waiter)
    this.#listenToSignal(waiter)
    if (caller.options?.connectionTimeoutMillis === undefined) this.#watchFirst(now)
    else this.#watchAlone(waiter, until - now)
    return true
  }

  #timeoutOf({ options }: Caller): number {
    const { connectionTimeoutMillis = this.#parts.options.connectionTimeoutMillis } = options ?? {}
    return connectionTimeoutMillis || Number.POSITIVE_INFINITY
  }

  /** The first has a connection now. */
  shift(): void {
    this.#waiters.shift()
    this.#noteEmpty()
  }

  /** Tells so many of the first, or all, that there is no connection for them; each gets an error of his own. */
  failFirst(count: number, makeError: () => Error): void {
    for (let told = 0; told < count; told++) {
      const waiter = this.#waiters.first
      if (!waiter) return
      this.#fail(waiter, makeError())
    }
  }

  /** Serves those in line, in the call of the one that has just joined: who, unless served, is told if a check throws. */
  carefully(caller: Caller, serve: () => void): void {
    try {
      serve()
    } catch (error) {
      const { last } = this.#waiters
      if (last?.caller === caller) this.#fail(last, toError(error))
    }
  }

  /** Tells so many of the last that there is no connection for them, in order of arrival. */
  failLast(count: number, makeError: () => Error): void {
    let waiter = this.#waiters.first
    for (let place = this.#waiters.size; waiter && count > 0; place--) {
      const { next } = waiter
      if (place <= count) this.#fail(waiter, makeError())
      waiter = next
    }
  }

  /** Tells somebody who isn't in the line, or no longer, that he gets no connection. */
  refuse(caller: Caller, error: Error, waitedMillis = 0): void {
    this.#parts.publisher.publish({ type: 'acquire-failed', error, waitedMillis })
    caller.failed(error)
  }

  #fail(waiter: Waiter<Caller>, error: Error): void {
    this.#waiters.leave(waiter)
    this.#noteEmpty()
    this.#tellRefused(waiter, error, this.#parts.clock.now())
  }

  #tellRefused({ context, caller, since }: Waiter<Caller>, error: Error, now: number): void {
    context.runInAsyncScope(this.refuse, this, caller, error, now - since)
  }

  #noteEmpty(): void {
    if (this.#waiters.size > 0) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#parts.onEmpty()
  }

  #watch(millis: number): void {
    if (this.#cancelTimer || millis === Number.POSITIVE_INFINITY) return
    this.#cancelTimer = afterPatience(this.#parts.clock, millis, 'process', () => this.#timeOutDue())
  }

  /** Times out those whose deadline has passed, and watches the first of the others. */
  #timeOutDue(): void {
    const now = this.#parts.clock.now()
    let look: ReturnType<WaitQueueParts['lookForDeadlock']> | undefined
    const deadlockOf = (caller: Caller): Error | undefined => {
      look ??= this.#parts.lookForDeadlock()
      return look(caller)
    }
    let waiter = this.#firstSharing()
    // The timer counts as set meanwhile: who joins in a callback must not set it for himself, for he isn't the first.
    for (; waiter && waiter.until <= now; waiter = this.#firstSharing()) this.#timeOut(waiter, now, deadlockOf)
    this.#watchFirst(now) // Who joined may have set it: then everybody had left.
  }

  #watchFirst(now: number): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const waiter = this.#firstSharing()
    if (waiter) this.#watch(waiter.until - now)
  }

  /** The first of those who share the pool's deadline. */
  #firstSharing(): Waiter<Caller> | undefined {
    let waiter = this.#waiters.first
    while (waiter && waiter.caller.options?.connectionTimeoutMillis !== undefined) waiter = waiter.next
    return waiter
  }

  #timeOut(waiter: Waiter<Caller>, now: number, deadlockOf: (caller: Caller) => Error | undefined): void {
    const deadlock = orItsError(() => deadlockOf(waiter.caller))
    // Composed with the waiter gone: it tells of the others.
    this.#waiters.leave(waiter)
    const error = deadlock ?? orItsError(() => this.#parts.timeoutError(now - waiter.since, now))
    this.#noteEmpty()
    this.#tellRefused(waiter, error, now)
  }

  /** A deadline of one's own comes out of order. */
  #watchAlone(waiter: Waiter<Caller>, millis: number): void {
    const { clock, lookForDeadlock } = this.#parts
    const judge = (): void => this.#timeOut(waiter, clock.now(), (caller) => lookForDeadlock()(caller))
    alsoCancel(waiter, afterPatience(clock, millis, 'process', judge))
  }

  /** Without a deadline a deadlock would last for good. */
  #watchForDeadlock(waiter: Waiter<Caller>): void {
    const { clock, isStill, lookForDeadlock } = this.#parts
    let cancel: Cancel
    const look = (): void => {
      const deadlock = isStill(clock.now()) ? lookForDeadlock()(waiter.caller) : undefined
      if (deadlock) this.#fail(waiter, deadlock)
      else cancel = afterPatience(clock, STANDSTILL_MILLIS, 'process', look)
    }
    cancel = afterPatience(clock, STANDSTILL_MILLIS, 'process', look)
    alsoCancel(waiter, () => cancel())
  }

  #listenToSignal(waiter: Waiter<Caller>): void {
    const signal = waiter.caller.options?.signal
    if (!signal) return
    waiter.cancel = onAbort(signal, () => this.#fail(waiter, this.#reasonOf(signal, waiter.caller)))
  }

  /** The deadline of a transaction comes as a signal: what kept it from beginning tells more. */
  #reasonOf(signal: AbortSignal, caller: Caller): Error {
    const reason = abortReason(signal)
    const isDeadline = isInstance(reason, TransactionTimeoutError)
    return (isDeadline && this.#parts.lookForDeadlock()(caller)) || reason
  }
}

/** What a waiter is told in place of what can't be found out. */
function orItsError<Found>(find: () => Found): Found | Error {
  try {
    return find()
  } catch (error) {
    return toError(error)
  }
}

/** Has this taken back, too, when the waiter leaves. */
function alsoCancel(waiter: Waiter<Caller>, cancel: Cancel): void {
  const { cancel: before } = waiter
  waiter.cancel = () => {
    before?.()
    cancel()
  }
}
