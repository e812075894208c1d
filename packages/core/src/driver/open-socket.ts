import type { Client } from 'pg'
import { internalsOf } from './internals.ts'

/**
 * Makes a client open its socket inside of `run`. This doesn't wrap the client's `connect`: one of the user's, or of an
 * instrumentation, does more than that.
 */
export function openSocketBy(client: Client, run: (open: () => void) => void): void {
  const protocol = internalsOf(client).connection as { connect?: (...to: unknown[]) => void }
  const { connect } = protocol
  if (typeof connect === 'function') protocol.connect = (...to) => run(() => connect.apply(protocol, to))
}

/**
 * Keeps a client from opening a session when the pool has given it up: the `connect` of a user's class may take its time
 * before it opens a socket. Comes before `connect`.
 */
export function refuseLateOpening(client: Client, isWanted: () => boolean): void {
  const protocol = internalsOf(client).connection
  const { connect } = protocol
  protocol.connect = (port, host) => {
    if (isWanted()) return connect.call(protocol, port, host)
    // Not at once: the driver adds its listeners after this has returned.
    process.nextTick(() => protocol.emit('error', new Error('The pool has given up this connection')))
    return undefined
  }
}
