import type { ReadingProtocol } from '../driver/internals.ts'

/** Whatever connects: told by a callback, by a promise, or by both. */
export interface Connecting {
  connect(callback: (error?: unknown) => void): unknown
}

/**
 * Has a client connect, in whichever way its class knows: pg takes a callback or returns a promise, and whoever derives from
 * it may have kept one of the two. A promise that is fulfilled while the callback has yet to be called says nothing: then it
 * is of what came before, such as the fetching of a token.
 */
export function connectInAnyWay(client: Connecting, isConnected: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const promise = client.connect((error) => (error ? reject(error) : resolve()))
    if (!isThenable(promise)) return
    promise.then(() => {
      if (isConnected()) resolve()
    }, reject)
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
