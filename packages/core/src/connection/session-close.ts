import { isReachable, requestCancel, type SocketSource } from '../driver/cancel-request.ts'
import type { EndClient } from '../driver/internals.ts'
import type { DriverSession } from '../driver/session.ts'
import { sendTerminate, type TerminateSettings } from '../driver/terminate.ts'
import type { Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import type { LeasedClient } from './physical-client.ts'
import type { InFlight } from './statements.ts'

/** How long the server may take to accept a cancel request, in milliseconds. */
const STOP_TIMEOUT_MILLIS = 1000

/** What closing a session takes. */
export interface SessionCloseParts {
  readonly client: LeasedClient
  readonly session: DriverSession
  readonly endClient: EndClient
  readonly clock: Clock
  readonly stream: SocketSource
  readonly inFlight: InFlight
}

/**
 * Closes a session: the server is told to stop the statement that it executes, then the socket is closed. The server looks at
 * a socket only when it has something to send, so a statement whose socket is closed runs on; and a pooler forgets the key
 * of a client that has left. During the cancel request, for a second at most, the driver believes that the socket is closed.
 */
export class SessionClose {
  readonly #parts: SessionCloseParts
  #isClosed = false
  /** Whether the driver is being told that the socket is closed, which isn't true. */
  #isDetaching = false
  #isStopping = false
  #stopped: Promise<void> | undefined

  constructor(parts: SessionCloseParts) {
    this.#parts = parts
    parts.session.onEnd(() => {
      if (!this.#isDetaching) this.#isClosed = true
    })
  }

  /** Tells the server to stop the statement that it executes, and the callers that it is over. A COMMIT isn't stopped. */
  stopStatement(): void {
    const { client, session, clock, stream, inFlight } = this.#parts
    if (this.#stopped || this.#isClosed || !inFlight.mayBeStopped || !session.isCancellable) return
    if (!isReachable(stream)) return
    this.#isStopping = true
    this.#isDetaching = true
    session.detach()
    this.#isDetaching = false
    const request = { clock, stream, timeoutMillis: STOP_TIMEOUT_MILLIS }
    this.#stopped = inNoContext(() => requestCancel(client, request)).then(() => {
      this.#isStopping = false
      this.destroy()
    })
  }

  /** Destroys the socket: at once, or when the server has been told to stop the statement. */
  destroy(): void {
    if (!this.#isStopping) this.#parts.session.destroySocket()
  }

  /** Resolves when the socket is closed, or after `timeoutMillis`, not counting the time to stop a statement. */
  async close(how: TerminateSettings['how'], timeoutMillis: number): Promise<void> {
    if (this.#stopped) await this.#stopped
    if (!this.#isClosed) await sendTerminate(this.#parts.client, { ...this.#parts, how, timeoutMillis })
  }
}
