import { AsyncLocalStorage } from 'node:async_hooks'
import { type AcquireOptions, checkAcquireOptions } from '../options/call-options.ts'
import { withoutUndefined } from '../options/check.ts'
import type { TransactionAttempt } from './transaction-attempt.ts'

/** What applies to code that runs in a scope: the options for acquiring, and the attempt at a transaction around it. */
export interface PoolOptionsScope extends AcquireOptions {
  readonly attempt?: TransactionAttempt | undefined
  /** The attempt in which the caller was started, if that attempt has ended since. */
  readonly begunIn?: TransactionAttempt | undefined
}

/** What the async context stores. */
interface Entry {
  readonly scope: PoolOptionsScope
  /** Options that were set inside of the attempt. They survive its end; the attempt's own options don't. */
  readonly innerOptions?: AcquireOptions | undefined
  readonly outside?: Outside | undefined
}

/**
 * The entry around an attempt, shared by all entries inside of it. At the end of the attempt ended ones are taken out of it:
 * a job that starts the next job would otherwise keep all jobs before it.
 */
interface Outside {
  entry: Entry | undefined
}

const storage = new AsyncLocalStorage<Entry | undefined>()
// A process that never opens a scope does not pay for a look into the storage.
let isUsed = false

/**
 * Runs `fn` with options that apply to every `connect()` and `query()` in it, also deep inside of an ORM, where no options
 * can be passed: a signal, a deadline, a reset policy. A scope inside another one inherits what it doesn't set.
 *
 * A query builder starts when it is awaited. If `fn` returns one, it is awaited in the scope.
 *
 * @example
 * ```ts
 * await withPoolOptions({ signal: request.signal, resetOnReturn: 'discard' }, () => db.select().from(orders))
 * ```
 *
 * @throws {OptionsError} that names every option that can't work.
 */
export function withPoolOptions<Result>(options: AcquireOptions, fn: () => PromiseLike<Result>): Promise<Result>
export function withPoolOptions<Result>(options: AcquireOptions, fn: () => Result): Result
export function withPoolOptions(options: AcquireOptions, fn: () => unknown): unknown {
  checkAcquireOptions('withPoolOptions', options)
  isUsed = true
  return storage.run(addOptions(currentEntry(), withoutUndefined(options)), () => {
    const result = fn()
    return isLazy(result) ? start(result) : result
  })
}

async function start(lazy: PromiseLike<unknown>): Promise<unknown> {
  return await lazy
}

/** Whether it starts when it is awaited, as a query builder does. A promise has started already. */
function isLazy(result: unknown): result is PromiseLike<unknown> {
  return !(result instanceof Promise) && typeof (result as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Runs `fn` in this scope instead of the current one. Code that still runs when the attempt has ended is outside of it. */
export function runInScope<Result>(scope: PoolOptionsScope, fn: () => Result): Result {
  isUsed = true
  const { attempt } = scope
  if (!attempt) return storage.run({ scope }, fn)
  const outside: Outside = { entry: currentEntry() }
  attempt.onEnd(() => {
    outside.entry = withoutEndedAttempts(outside.entry)
  })
  return storage.run({ scope, outside }, fn)
}

/** The scope of the calling code, if there is one. An attempt that has ended is no part of it. */
export function currentScope(): PoolOptionsScope | undefined {
  return currentEntry()?.scope
}

/** The attempt at a transaction in which the calling code was started, if that attempt has ended since. */
export function endedAttempt(): TransactionAttempt | undefined {
  const attempt = isUsed ? storage.getStore()?.scope.attempt : undefined
  return attempt?.hasEnded ? attempt : undefined
}

function currentEntry(): Entry | undefined {
  return isUsed ? withoutEndedAttempts(storage.getStore()) : undefined
}

/** This entry; if its attempt has ended, the one outside, with the options that were set inside of the attempt. */
function withoutEndedAttempts(entry: Entry | undefined): Entry | undefined {
  if (entry?.scope.attempt?.hasEnded !== true) return entry
  let innerOptions: AcquireOptions | undefined
  let left: Entry | undefined = entry
  for (; left?.scope.attempt?.hasEnded; left = left.outside?.entry)
    innerOptions = { ...left.innerOptions, ...innerOptions }
  return innerOptions && Object.keys(innerOptions).length > 0 ? addOptions(left, innerOptions) : left
}

/** An entry in which these options replace those of the given one. */
function addOptions(entry: Entry | undefined, options: AcquireOptions): Entry {
  return {
    scope: { ...entry?.scope, ...options },
    innerOptions: { ...entry?.innerOptions, ...options },
    outside: entry?.outside,
  }
}
