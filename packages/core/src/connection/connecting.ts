import type { ReadingProtocol } from '../driver/internals.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'

/** Whatever connects: told by a callback, by a promise, or by both. */
export interface Connecting {
  connect(callback: (error?: unknown) => void): unknown
}

/** What is known of a client's login, beside what its class tells. */
export interface LoginKnown {
  readonly clock: Clock
  /** How long its class may take to tell of a login that is done; longer says that it never will. */
  readonly patienceMillis: number
  /** Whether it is logged in. */
  readonly isDone: () => boolean
  /** Calls back when it is. */
  readonly onDone: (callback: () => void) => void
}

/**
 * Has a client connect, in whichever way its class knows: pg takes a callback or returns a promise, and whoever derives from
 * it may have kept one of the two. A promise that is fulfilled while the login is not done says nothing: it is of what
 * came before, such as the fetching of a token, and the callback is still to come.
 */
export function connectInAnyWay(
  client: Connecting,
  { clock, patienceMillis, isDone, onDone }: LoginKnown,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let isTold = false
    let cancel: Cancel | undefined
    const tell = (error?: unknown): void => {
      if (isTold) return // It may call back twice.
      isTold = true
      cancel?.()
      if (error) reject(error)
      else resolve()
    }
    onDone(() => {
      if (isTold) return
      const late = `The login is done, but \`Client.connect\` hasn't called back within ${patienceMillis} ms`
      cancel = afterPatience(clock, patienceMillis, 'nothing', () => tell(new Error(late)))
    })
    const promise = client.connect(tell)
    if (!isThenable(promise)) return
    promise.then(
      () => {
        if (isDone()) tell()
      },
      (error: unknown) => tell(error ?? new Error('`Client.connect` has failed without an error')),
    )
  })
}

/**
 * Keeps a client that nobody wants any more from opening a session after all: one whose class takes its time before it
 * connects. Comes before `connect`.
 */
export function refuseLateOpening(protocol: ReadingProtocol, isWanted: () => boolean): void {
  const { connect } = protocol
  protocol.connect = (port, host) => {
    if (isWanted()) return connect.call(protocol, port, host)
    // Not at once: the driver listens when this has returned.
    process.nextTick(() => protocol.emit('error', new Error('The pool has given up this connection')))
    return undefined
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
