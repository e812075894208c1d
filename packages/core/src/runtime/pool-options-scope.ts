import { AsyncLocalStorage } from 'node:async_hooks'
import { type AcquireOptions, checkAcquireOptions } from '../options/call-options.ts'
import { withoutUndefined } from '../options/check.ts'
import type { TransactionAttempt } from './transaction-attempt.ts'

/** What holds for whatever runs in it: the caller's wishes, and the attempt at a transaction that it is part of. */
export interface PoolOptionsScope extends AcquireOptions {
  readonly attempt?: TransactionAttempt | undefined
  /** An attempt that has ended, in which whoever acquires was begun. */
  readonly begunIn?: TransactionAttempt | undefined
}

/** What an attempt is run in: cut off at its end from whatever has ended by then, or jobs that begin one another add up. */
interface Surroundings {
  outside: Place | undefined
}

/** Where somebody is: what holds there, and what holds there when the attempt that it is part of has ended. */
interface Place {
  readonly scope: PoolOptionsScope
  /** What was wished for within the attempt; the wishes of the attempt itself end with it. */
  readonly wishes?: AcquireOptions | undefined
  readonly around?: Surroundings | undefined
}

const storage = new AsyncLocalStorage<Place | undefined>()
// Who never opens a scope shall not pay for looking.
let isUsed = false

/**
 * Runs `work` with wishes that reach every `connect()` and `query()` in it, however deep in an ORM, where no options can
 * be passed: a signal, a deadline, a reset policy. A scope within another inherits what it doesn't set.
 *
 * A query builder, which begins when it is awaited, is awaited in the scope.
 *
 * @example
 * ```ts
 * await withPoolOptions({ signal: request.signal, resetOnReturn: 'discard' }, () => db.select().from(orders))
 * ```
 *
 * @throws {OptionsError} that names every option that can't work.
 */
export function withPoolOptions<Result>(options: AcquireOptions, work: () => PromiseLike<Result>): Promise<Result>
export function withPoolOptions<Result>(options: AcquireOptions, work: () => Result): Result
export function withPoolOptions(options: AcquireOptions, work: () => unknown): unknown {
  checkAcquireOptions('scope', options)
  isUsed = true
  return storage.run(within(placeHere(), withoutUndefined(options)), () => {
    const result = work()
    return isLazy(result) ? begin(result) : result
  })
}

async function begin(lazy: PromiseLike<unknown>): Promise<unknown> {
  return await lazy
}

/** A promise has begun already. */
function isLazy(result: unknown): result is PromiseLike<unknown> {
  return !(result instanceof Promise) && typeof (result as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Runs `work` in this scope, and in no other. What runs on after the end of its attempt is in the scope around it. */
export function runInScope<Result>(scope: PoolOptionsScope, work: () => Result): Result {
  isUsed = true
  const { attempt } = scope
  if (!attempt) return storage.run({ scope }, work)
  const around: Surroundings = { outside: placeHere() }
  attempt.whenEnded(() => {
    around.outside = lasting(around.outside)
  })
  return storage.run({ scope, around }, work)
}

/** What holds here, if anything does. An attempt that has ended holds for nobody. */
export function currentScope(): PoolOptionsScope | undefined {
  return placeHere()?.scope
}

/** The attempt at a transaction in which this was begun, if that has ended since. */
export function endedAttempt(): TransactionAttempt | undefined {
  const attempt = isUsed ? storage.getStore()?.scope.attempt : undefined
  return attempt?.hasEnded ? attempt : undefined
}

function placeHere(): Place | undefined {
  return isUsed ? lasting(storage.getStore()) : undefined
}

/** This place, or if its attempt has ended what is left of it. */
function lasting(place: Place | undefined): Place | undefined {
  if (place?.scope.attempt?.hasEnded !== true) return place
  let wishes: AcquireOptions | undefined
  let left: Place | undefined = place
  for (; left?.scope.attempt?.hasEnded; left = left.around?.outside) wishes = { ...left.wishes, ...wishes }
  return wishes && Object.keys(wishes).length > 0 ? within(left, wishes) : left
}

/** The same place with these wishes over those that hold there. */
function within(place: Place | undefined, wishes: AcquireOptions): Place {
  return {
    scope: { ...place?.scope, ...wishes },
    wishes: { ...place?.wishes, ...wishes },
    around: place?.around,
  }
}
