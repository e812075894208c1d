import { isReachable, requestCancel, type SocketSource } from '../driver/cancel-request.ts'
import { detach, type EndClient, internalsOf } from '../driver/internals.ts'
import { keepListening } from '../driver/kept-listeners.ts'
import { sendTerminate, type TerminateSettings } from '../driver/terminate.ts'
import type { Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import type { InFlight } from './in-flight.ts'
import type { LeasedClient } from './physical-client.ts'

/** How long a server may take to hear that it is to stop, in milliseconds. */
const STOP_TIMEOUT_MILLIS = 1000

/** What the end of a session takes. */
export interface SessionCloseParts {
  readonly client: LeasedClient
  readonly endClient: EndClient
  readonly clock: Clock
  readonly stream: SocketSource
  readonly statements: InFlight
}

/**
 * The end of a session: its socket is closed, but not before the statement that it runs was told to stop. The server looks
 * at a socket only when it has something to say, so a statement whose socket is closed runs on; and a pooler forgets whom
 * a client may cancel when the client has left. Meanwhile, for a second at most, the driver believes the socket closed.
 */
export class SessionClose {
  readonly #parts: SessionCloseParts
  #isClosed = false
  /** The driver is just being told that its socket is closed, which is not so. */
  #isPretending = false
  #isStopping = false
  #stopped: Promise<void> | undefined

  constructor(parts: SessionCloseParts) {
    this.#parts = parts
    keepListening(internalsOf(parts.client).connection, 'end', () => {
      if (!this.#isPretending) this.#isClosed = true
    })
  }

  /** Tells the server to stop what it works on, and all who wait for it that it is over. Not a COMMIT. */
  stop(): void {
    const { client, clock, stream, statements } = this.#parts
    // A pooler may give no key to cancel with.
    if (this.#stopped || this.#isClosed || !statements.mayBeStopped || internalsOf(client).secretKey === null) return
    if (!isReachable(stream)) return
    this.#isStopping = true
    this.#isPretending = true
    detach(client)
    this.#isPretending = false
    const request = { clock, stream, timeoutMillis: STOP_TIMEOUT_MILLIS }
    this.#stopped = inNoContext(() => requestCancel(client, request)).then(() => {
      this.#isStopping = false
      this.destroy()
    })
  }

  /** Ends the socket without a word: now, or as soon as the statement has been told to stop. */
  destroy(): void {
    if (!this.#isStopping) internalsOf(this.#parts.client).connection.stream.destroy()
  }

  /** Resolves when the socket is closed, or after `timeoutMillis`, beside the time to stop a statement. */
  async part(how: TerminateSettings['how'], timeoutMillis: number): Promise<void> {
    if (this.#stopped) await this.#stopped
    if (!this.#isClosed) await sendTerminate(this.#parts.client, { ...this.#parts, how, timeoutMillis })
  }
}
