import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { type AcquireOptions, checkAcquireOptions } from '../options/acquire-options.ts'
import { withoutUndefined } from '../options/check.ts'
import type { Attempt } from './attempt.ts'

/** What holds for whatever runs in it: the caller's wishes, and the attempt at a transaction that it is part of. */
export interface Scope extends AcquireOptions {
  readonly attempt?: Attempt | undefined
}

const storage = new AsyncLocalStorage<Scope | undefined>()
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
 * await scope({ signal: request.signal, resetOnReturn: 'discard' }, () => db.select().from(orders))
 * ```
 *
 * @throws {OptionsError} that names every option that can't work.
 */
export function scope<Result>(options: AcquireOptions, work: () => PromiseLike<Result>): Promise<Result>
export function scope<Result>(options: AcquireOptions, work: () => Result): Result
export function scope(options: AcquireOptions, work: () => unknown): unknown {
  checkAcquireOptions('scope', options)
  return inScope({ ...storage.getStore(), ...withoutUndefined(options) }, () => {
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

/** Runs `work` in this scope, and in no other. */
export function inScope<Result>(scope: Scope, work: () => Result): Result {
  isUsed = true
  return storage.run(scope, work)
}

/** What holds here, if anything does. */
export function currentScope(): Scope | undefined {
  return isUsed ? storage.getStore() : undefined
}

/** Runs what belongs to no caller, such as opening a connection, whose sockets would keep his scope for ever. */
export function outOfScope<Result>(work: () => Result): Result {
  return isUsed ? storage.run(undefined, work) : work()
}

/** The scope, and every other async context, of whoever asks, to run something in later. */
export function thisContext(): AsyncResource {
  // `AsyncLocalStorage.snapshot` does the same at several times the price.
  return new AsyncResource('HoldfastWaiter')
}

/** Has `task` run in the context of whoever called this. */
export function inThisContext<Args extends unknown[]>(task: (...args: Args) => void): (...args: Args) => void {
  const context = thisContext()
  return (...args) => context.runInAsyncScope(task, undefined, ...args)
}
