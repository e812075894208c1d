import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'

/** A client class that connects, and reports it by a callback, a promise, or both. */
export interface Connecting {
  connect(callback: (error?: unknown) => void): unknown
}

/** What is known of the login of a client, beside what its class reports. */
export interface LoginKnown {
  readonly clock: Clock
  /** How long the class may take to report a login that is done. After that, it counts as failed. */
  readonly patienceMillis: number
  /** Whether it is logged in. */
  readonly isDone: () => boolean
  /** Calls back when it is. */
  readonly onDone: (callback: () => void) => void
}

/**
 * Connects a client, whose class may call back, return a promise, or both, as pg does. A promise that is fulfilled before the
 * login is done means nothing: it belongs to a step before, such as fetching a token, and the callback is still to come.
 */
export function connectInAnyWay(
  client: Connecting,
  { clock, patienceMillis, isDone, onDone }: LoginKnown,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let isReported = false
    let cancel: Cancel | undefined
    const report = (error?: unknown): void => {
      if (isReported) return // It may call back twice.
      isReported = true
      cancel?.()
      if (error) reject(error)
      else resolve()
    }
    onDone(() => {
      if (isReported) return
      const late = `The login is done, but \`Client.connect\` hasn't called back within ${patienceMillis} ms`
      cancel = afterPatience(clock, patienceMillis, 'nothing', () => report(new Error(late)))
    })
    const promise = client.connect(report)
    if (!isThenable(promise)) return
    promise.then(
      () => {
        if (isDone()) report()
      },
      (error: unknown) => report(error ?? new Error('`Client.connect` has failed without an error')),
    )
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
