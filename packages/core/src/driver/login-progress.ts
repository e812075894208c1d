import type { Client } from 'pg'
import type { LoginStage } from '../policy/backoff.ts'
import { internalsOf } from './internals.ts'

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
