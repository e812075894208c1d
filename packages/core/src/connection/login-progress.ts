import type { Client } from 'pg'
import { internalsOf } from '../driver/internals.ts'
import type { LoginStage } from '../policy/backoff.ts'

/** A socket, as far as it can be asked how it fares; one of the user's own may not know. */
interface Counting {
  readonly connecting?: boolean
  readonly bytesRead?: number
}

/** How far a login has come, read from its socket: nothing listens there, for the bytes are the driver's. */
export class LoginProgress {
  // The one below TLS, which counts the bytes of the handshake as well.
  readonly #socket: Counting
  #bytes = 0

  constructor(client: Client) {
    this.#socket = internalsOf(client).connection.stream as Counting
  }

  /** Before the driver has knocked, it is no fault of the server's: then it counts as reached. */
  get stage(): LoginStage {
    if (this.#socket.connecting) return 'unreached'
    return this.#bytes > 0 ? 'heard' : 'reached'
  }

  /** Looks whether anything was heard since the last look. */
  look(): boolean {
    const { bytesRead = 0 } = this.#socket
    const hasGrown = bytesRead > this.#bytes
    this.#bytes = bytesRead
    return hasGrown
  }
}
