import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/**
 * Whether the driver is reading what a socket has brought at this moment. An exception of the driver's then means that the
 * server's messages can't be read, and costs this one connection. An exception of the user's code that the driver calls
 * meanwhile must not be taken for one.
 */
let isDriverReading = false

/** Runs the driver's reading of what has arrived. Throws what the driver throws, and nothing that the user's code throws. */
export function whileDriverReads<Input>(read: (input: Input) => void, input: Input): void {
  const before = isDriverReading
  isDriverReading = true
  try {
    read(input)
  } finally {
    isDriverReading = before
  }
}

/**
 * Runs code of the user's: a callback or a listener. What it throws while the driver reads becomes an uncaught exception in
 * the next tick, so that the driver reads the rest and the connection stays intact.
 */
export function runUserCode<Result>(run: () => Result): Result | undefined {
  if (!isDriverReading) return run()
  isDriverReading = false
  try {
    return run()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
    return undefined
  } finally {
    isDriverReading = true
  }
}

/** The async context of the calling code (all values of every `AsyncLocalStorage`), to run something in later. */
export function thisContext(): AsyncResource {
  // `AsyncLocalStorage.snapshot` does the same and costs a hundred times as much.
  return new AsyncResource('HoldfastCaller')
}

/** Binds `task` to the context of the calling code. */
export function inThisContext<This, Args extends unknown[], Result>(
  task: (this: This, ...args: Args) => Result,
): (this: This, ...args: Args) => Result {
  const context = thisContext()
  return function (...args) {
    return context.runInAsyncScope(task, this, ...args)
  }
}

const NEEDS_NONE = Symbol('holdfast.needs-no-context')

/** Marks a callback of ours that may run in any context: binding one costs something for each statement. */
export function markForAnyContext(callback: object): void {
  ;(callback as { [NEEDS_NONE]?: true })[NEEDS_NONE] = true
}

/** Binds a callback to the context of the calling code, unless it may run in any. */
export function inItsContext<This, Args extends unknown[], Result>(
  callback: (this: This, ...args: Args) => Result,
): (this: This, ...args: Args) => Result {
  return NEEDS_NONE in callback ? callback : inThisContext(callback)
}

/** Runs `fn` in this context, or in the current one without. */
export function inContext<Result>(context: AsyncResource | undefined, fn: () => Result): Result {
  return context ? context.runInAsyncScope(fn) : fn()
}

/**
 * Runs `fn` in an empty context: for what belongs to no caller, or outlives its caller. A socket keeps the context in which
 * it was opened, and everything that it starts runs there; so does a timer.
 */
export function inNoContext<Result>(fn: () => Result): Result {
  return EMPTY.runInAsyncScope(fn)
}

/** Names of what a resource has besides the context: its ids, and whether it is destroyed. */
const NOT_CONTEXT = /async_id|destroyed/
const EMPTY = makeEmptyContext()

/**
 * Node has no public way to an empty context, and this module may be loaded in a caller's: by the first request of a route.
 * So this removes what Node has stored on the resource. If that doesn't work in this runtime, the context in which the
 * module was loaded is the nearest to an empty one.
 */
function makeEmptyContext(): AsyncResource {
  const canary = new AsyncLocalStorage<true>()
  const emptied = canary.run(true, () => new AsyncResource('HoldfastBackground'))
  const stored = Object.getOwnPropertySymbols(emptied).filter(({ description }) => !NOT_CONTEXT.test(description ?? ''))
  for (const key of stored) Reflect.set(emptied, key, undefined)
  const isEmpty = emptied.runInAsyncScope(() => canary.getStore()) === undefined
  return isEmpty ? emptied : new AsyncResource('HoldfastBackground')
}
