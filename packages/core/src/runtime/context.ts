import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** The async context of whoever calls this: every `AsyncLocalStorage` in it, to run something in later. */
export function thisContext(): AsyncResource {
  // `AsyncLocalStorage.snapshot` does the same at a hundred times the price.
  return new AsyncResource('HoldfastCaller')
}

/** Has `task` run in the context of whoever called this. */
export function inThisContext<This, Args extends unknown[], Result>(
  task: (this: This, ...args: Args) => Result,
): (this: This, ...args: Args) => Result {
  const context = thisContext()
  return function (...args) {
    return context.runInAsyncScope(task, this, ...args)
  }
}

const NEEDS_NONE = Symbol('holdfast.needs-no-context')

/** Says of a callback of ours that it may be called in any context: keeping one costs something for each statement. */
export function markForAnyContext(callback: object): void {
  ;(callback as { [NEEDS_NONE]?: true })[NEEDS_NONE] = true
}

/** Has a callback called in the context of whoever called this, unless any will do. */
export function inItsContext<This, Args extends unknown[], Result>(
  callback: (this: This, ...args: Args) => Result,
): (this: This, ...args: Args) => Result {
  return NEEDS_NONE in callback ? callback : inThisContext(callback)
}

/** Runs `work` in this context, or in the present one without. */
export function inContext<Result>(context: AsyncResource | undefined, work: () => Result): Result {
  return context ? context.runInAsyncScope(work) : work()
}

/**
 * Runs `work` in nobody's context: what belongs to no caller, or outlives one. A socket keeps the context in which it was
 * opened, and everything that comes from it runs there; so does a timer.
 */
export function inNoContext<Result>(work: () => Result): Result {
  return NOBODY.runInAsyncScope(work)
}

/** What else a resource has: numbers, and whether it is gone. */
const IDS = /async_id|destroyed/
const NOBODY = nobodysContext()

/**
 * There is no public way to an empty context, and this module may be loaded in somebody's: a route that is loaded by its
 * first request. So what Node keeps on the resource is taken off. If that doesn't work in this runtime, the context of the
 * load is as near to nobody's as can be had.
 */
function nobodysContext(): AsyncResource {
  const probe = new AsyncLocalStorage<true>()
  const emptied = probe.run(true, () => new AsyncResource('HoldfastBackground'))
  const kept = Object.getOwnPropertySymbols(emptied).filter(({ description }) => !IDS.test(description ?? ''))
  for (const key of kept) Reflect.set(emptied, key, undefined)
  const isEmpty = emptied.runInAsyncScope(() => probe.getStore()) === undefined
  return isEmpty ? emptied : new AsyncResource('HoldfastBackground')
}
