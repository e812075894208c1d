import type { Client } from 'pg'
import type { LoginStage } from '../policy/backoff.ts'
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

/** The state of a socket. A socket of the user's own making may have neither property. */
interface SocketState {
  readonly connecting?: boolean
  readonly bytesRead?: number
}

/** How far a login has come, read from its socket. It adds no listener, since the data belongs to the driver. */
export class LoginProgress {
  // The socket below TLS, which counts the bytes of the handshake as well.
  readonly #socket: SocketState
  #bytes = 0

  constructor(client: Client) {
    this.#socket = internalsOf(client).connection.stream as SocketState
  }

  /** A login counts as `reached` before the driver has begun to connect: that time isn't the server's fault. */
  get stage(): LoginStage {
    if (this.#socket.connecting) return 'unreached'
    return this.#bytes > 0 ? 'answered' : 'reached'
  }

  /** Counts the bytes received. Returns whether there are more than at the last call. */
  update(): boolean {
    const { bytesRead = 0 } = this.#socket
    const hasGrown = bytesRead > this.#bytes
    this.#bytes = bytesRead
    return hasGrown
  }
}
