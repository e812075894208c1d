import type { Client } from 'pg'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/clock.ts'
import { type EndClient, internalsOf } from './internals.ts'
import { keepListening } from './kept-listeners.ts'

/** How to end a session. */
export interface TerminateSettings {
  readonly endClient: EndClient
  readonly clock: Clock
  /** Send Terminate, destroy the socket, or wait, since the caller has called `client.end()`. */
  readonly how: 'terminate' | 'destroy' | 'wait'
  readonly timeoutMillis: number
}

/** Closes a client's socket, and resolves when it is closed: after `timeoutMillis` at the latest. */
export function sendTerminate(
  client: Client,
  { endClient, clock, how, timeoutMillis }: TerminateSettings,
): Promise<void> {
  const { connection } = internalsOf(client)
  const { stream } = connection
  return new Promise((resolve) => {
    const closed = (): void => {
      cancel()
      stopListening()
      stream.off('close', closed)
      resolve()
    }
    const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => {
      stream.destroy()
      closed()
    })
    const stopListening = keepListening(connection, 'end', closed)
    if (stream.closed) return closed()
    // The driver doesn't listen on a socket that it failed to connect.
    stream.on('close', closed)
    try {
      // The `end` of a user's class may reject.
      if (how === 'terminate') Promise.resolve(endClient(client)).catch(() => stream.destroy())
      else if (how === 'destroy') stream.destroy()
    } catch {
      stream.destroy() // The `end` of a user's class has thrown. No caller waits for it, and the socket must be closed.
    }
  })
}
