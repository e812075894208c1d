import { PoolOverloadedError, TransactionTimeoutError } from '../errors.ts'
import { abortReason, onAbort } from '../runtime/abort.ts'
import type { Cancel } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/clock.ts'
import { isInstance, toError } from '../thrown.ts'
import type { EngineContext } from './engine-context.ts'
import { Shedding } from './shedding.ts'
import { isNested, isStill, lookForDeadlock, STANDSTILL_MILLIS, timeoutError } from './timeout-error.ts'
import { QueueEntry, type Waiter, WaiterList } from './waiter-list.ts'

/** Answers what to tell a waiter if the pool is deadlocked. */
type DeadlockOf = (waiter: Waiter) => Error | undefined

/** The queue for connections: who enters it, and who leaves it without a connection (too late, given up, refused). */
export class WaitQueue {
  readonly #engine: EngineContext
  readonly #waiters = new WaiterList()
  /** Waiters that share the pool's deadline time out in order of arrival, so one timer for the first serves them all. */
  #cancelTimer: Cancel | undefined
  readonly #shedding: Shedding | undefined

  constructor(engine: EngineContext) {
    this.#engine = engine
    this.#shedding = Shedding.of(engine, this)
  }

  get size(): number {
    return this.#waiters.size
  }

  get first(): QueueEntry | undefined {
    return this.#waiters.first
  }

  get last(): QueueEntry | undefined {
    return this.#waiters.last
  }

  /** Adds a waiter at the end; false if it was refused. */
  enqueue(waiter: Waiter, now: number): boolean {
    const { maxWaiting } = this.#engine.options
    if (maxWaiting !== Number.POSITIVE_INFINITY && this.#waiters.size >= maxWaiting + this.#unusedSlots()) {
      this.refuse(waiter, new PoolOverloadedError({ maxWaiting }))
      return false
    }
    const timeout = this.#timeoutOf(waiter)
    const entry = new QueueEntry(waiter, now, now + timeout)
    this.#waiters.append(entry)
    this.#shedding?.entered(now)
    if (waiter.options?.signal) this.#watchSignal(entry, waiter.options.signal)
    if (waiter.options?.connectionTimeoutMillis === undefined) this.#setTimer(timeout)
    else this.#setOwnTimer(entry, timeout)
    if (timeout === Number.POSITIVE_INFINITY && isNested(waiter)) this.#watchForDeadlock(entry)
    return true
  }

  /**
   * Adds a waiter in front of all that asked later than `since`, with what is left of its deadline; false if nothing is
   * left, or if it has given up.
   */
  requeue(waiter: Waiter, since: number, now: number): boolean {
    const until = since + this.#timeoutOf(waiter)
    if (until <= now || waiter.options?.signal?.aborted) return false
    const entry = new QueueEntry(waiter, since, until, now)
    this.#waiters.insertByAge(entry)
    this.#shedding?.entered(now)
    if (waiter.options?.signal) this.#watchSignal(entry, waiter.options.signal)
    if (waiter.options?.connectionTimeoutMillis === undefined) this.#resetTimer(now)
    else this.#setOwnTimer(entry, until - now)
    return true
  }

  /** Removes the first waiter, which has a connection now. */
  shift(now: number): void {
    const served = this.#waiters.shift()
    if (served) this.#shedding?.served(now - served.queuedAt, now)
    this.#noteEmpty()
  }

  /** Removes a waiter that gets no connection for itself. */
  take(entry: QueueEntry): void {
    this.#waiters.remove(entry)
    this.#noteEmpty()
  }

  /** Refuses the first `count` waiters; each gets an error of its own. */
  failFirst(count: number, makeError: () => Error): void {
    for (let told = 0; told < count; told++) {
      const entry = this.#waiters.first
      if (!entry) return
      this.#fail(entry, makeError())
    }
  }

  /** Refuses the last `count` waiters, in order of arrival. */
  failLast(count: number, makeError: () => Error): void {
    let entry = this.#waiters.first
    for (let place = this.#waiters.size; entry && count > 0; place--) {
      const { next } = entry
      if (place <= count) this.#fail(entry, makeError())
      entry = next
    }
  }

  /** Refuses this waiter because of an error that its own call has met, unless it has been served. */
  failNewest(waiter: Waiter, error: unknown): void {
    const { last } = this.#waiters
    if (last?.waiter === waiter) this.#fail(last, toError(error))
  }

  /** Tells a waiter that isn't in the queue, or not any more, that it gets no connection. */
  refuse(waiter: Waiter, error: Error, waitedMillis = 0): void {
    this.#engine.publisher.publish({ type: 'acquire-failed', error, waitedMillis })
    waiter.failed(error)
  }

  /** So many waiters aren't in the way of any other: a connection can be opened for them, or proven to be alive. */
  #unusedSlots(): number {
    const { options, inventory } = this.#engine
    return options.max - inventory.count('leased') - inventory.count('resetting')
  }

  #timeoutOf({ options }: Waiter): number {
    const { connectionTimeoutMillis = this.#engine.options.connectionTimeoutMillis } = options ?? {}
    return connectionTimeoutMillis || Number.POSITIVE_INFINITY
  }

  #fail(entry: QueueEntry, error: Error): void {
    this.#waiters.remove(entry)
    this.#noteEmpty()
    this.#refuseInContext(entry, error, this.#engine.clock.now())
  }

  #refuseInContext({ context, waiter, since }: QueueEntry, error: Error, now: number): void {
    context.runInAsyncScope(this.refuse, this, waiter, error, now - since)
  }

  #noteEmpty(): void {
    if (this.#waiters.size > 0) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#shedding?.ended()
    this.#engine.onQueueEmpty()
  }

  #setTimer(millis: number): void {
    if (this.#cancelTimer || millis === Number.POSITIVE_INFINITY) return
    this.#cancelTimer = afterPatience(this.#engine.clock, millis, 'process', () => this.#timeOutDue())
  }

  /** Refuses those whose deadline has passed, and sets the timer for the first of the others. */
  #timeOutDue(): void {
    const now = this.#engine.clock.now()
    let look: DeadlockOf | undefined
    const deadlockOf: DeadlockOf = (waiter) => {
      look ??= this.#lookForDeadlock()
      return look(waiter)
    }
    let entry = this.#firstSharing()
    // Leave the timer marked as set, so that a waiter that a callback enqueues doesn't set it: that one isn't the first.
    for (; entry && entry.until <= now; entry = this.#firstSharing()) this.#timeOut(entry, now, deadlockOf)
    this.#resetTimer(now) // If the queue was empty for a moment, a callback may have set it all the same.
  }

  #resetTimer(now: number): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const entry = this.#firstSharing()
    if (entry) this.#setTimer(entry.until - now)
  }

  /** The first of those that share the pool's deadline. */
  #firstSharing(): QueueEntry | undefined {
    let entry = this.#waiters.first
    while (entry && entry.waiter.options?.connectionTimeoutMillis !== undefined) entry = entry.next
    return entry
  }

  #timeOut(entry: QueueEntry, now: number, deadlockOf: DeadlockOf): void {
    const deadlock = orItsError(() => deadlockOf(entry.waiter))
    // The error tells how many others wait, so it is made when this one has left.
    this.#waiters.remove(entry)
    const waitedMillis = now - entry.since
    const error = deadlock ?? orItsError(() => timeoutError(this.#engine, waitedMillis, this.#waiters.size, now))
    this.#noteEmpty()
    this.#refuseInContext(entry, error, now)
  }

  /** A waiter with a deadline of its own doesn't time out in order of arrival. */
  #setOwnTimer(entry: QueueEntry, millis: number): void {
    const { clock } = this.#engine
    const timeOut = (): void => this.#timeOut(entry, clock.now(), (waiter) => this.#lookForDeadlock()(waiter))
    alsoCancel(entry, afterPatience(clock, millis, 'process', timeOut))
  }

  #lookForDeadlock(): DeadlockOf {
    return lookForDeadlock(this.#engine.inventory, this.#waiters, this.#engine.options.max)
  }

  /** A waiter without a deadline would stay in a deadlock until the process ends. */
  #watchForDeadlock(entry: QueueEntry): void {
    const { clock, inventory } = this.#engine
    let cancel: Cancel
    const look = (): void => {
      const deadlock = isStill(inventory, clock.now()) ? this.#lookForDeadlock()(entry.waiter) : undefined
      if (deadlock) this.#fail(entry, deadlock)
      else cancel = afterPatience(clock, STANDSTILL_MILLIS, 'process', look)
    }
    cancel = afterPatience(clock, STANDSTILL_MILLIS, 'process', look)
    alsoCancel(entry, () => cancel())
  }

  #watchSignal(entry: QueueEntry, signal: AbortSignal): void {
    entry.cancel = onAbort(signal, () => this.#fail(entry, this.#reasonOf(signal, entry.waiter)))
  }

  /** The deadline of a transaction arrives as a signal. A deadlock that kept it from beginning is the better reason. */
  #reasonOf(signal: AbortSignal, waiter: Waiter): Error {
    const reason = abortReason(signal)
    const isDeadline = isInstance(reason, TransactionTimeoutError)
    return (isDeadline && this.#lookForDeadlock()(waiter)) || reason
  }
}

/** The error that `find` returns, or the one that it throws. */
function orItsError<Found>(find: () => Found): Found | Error {
  try {
    return find()
  } catch (error) {
    return toError(error)
  }
}

/** Cancels this, too, when the waiter leaves. */
function alsoCancel(entry: QueueEntry, cancel: Cancel): void {
  const { cancel: before } = entry
  entry.cancel = () => {
    before?.()
    cancel()
  }
}
