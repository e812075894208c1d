import type { Cancel } from './clock.ts'

const reasons = new WeakSet<object>()

/**
 * The reason of an aborted signal, to reject with. Any reason is told as it is; only an empty one becomes an `AbortError`,
 * since a rejection with nothing reads as success.
 */
export function abortReason(signal: AbortSignal): Error {
  const reason = signal.reason || new DOMException('This operation was aborted', 'AbortError')
  if (typeof reason === 'object') reasons.add(reason)
  return reason
}

/** Whether this error is the reason of an aborted signal. */
export function isAbortReason(error: object): boolean {
  return reasons.has(error)
}

/** The callbacks of one signal. */
class AbortCallbacks {
  readonly #signal: AbortSignal
  readonly #entries = new Set<{ readonly onAbort: () => void }>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  add(callback: () => void): Cancel {
    const entry = { onAbort: callback }
    if (this.#entries.size === 0) this.#signal.addEventListener('abort', this.#run, { once: true })
    this.#entries.add(entry)
    return () => {
      if (this.#entries.delete(entry) && this.#entries.size === 0) this.#signal.removeEventListener('abort', this.#run)
    }
  }

  /** In the order in which they were added. One that another callback has removed is not run. */
  readonly #run = (): void => {
    for (const entry of this.#entries) {
      this.#entries.delete(entry)
      try {
        entry.onAbort()
      } catch (error) {
        // As a signal does it: the other callbacks run, and the error becomes an uncaught exception.
        process.nextTick(() => {
          throw error
        })
      }
    }
  }
}

const CALLBACKS = new WeakMap<AbortSignal, AbortCallbacks>()

/**
 * Calls `callback` once when the signal is aborted, unless the function that this returns was called before.
 *
 * A signal has one listener, however many callbacks it has: adding or removing a listener searches all of its listeners.
 */
export function onAbort(signal: AbortSignal, callback: () => void): Cancel {
  let callbacks = CALLBACKS.get(signal)
  if (!callbacks) {
    callbacks = new AbortCallbacks(signal)
    CALLBACKS.set(signal, callbacks)
  }
  return callbacks.add(callback)
}

/** A signal that is aborted together with another one, until it leaves that one. */
export interface FollowedSignal {
  readonly signal: AbortSignal
  readonly leave: Cancel
}

/** Makes a signal that follows another one, for code that adds its own listener: the followed signal still has one. */
export function followSignal(signal: AbortSignal): FollowedSignal {
  if (signal.aborted) return { signal, leave: () => {} }
  const own = new AbortController()
  return { signal: own.signal, leave: onAbort(signal, () => own.abort(signal.reason)) }
}
