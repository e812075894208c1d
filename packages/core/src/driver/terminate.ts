import type { Client } from 'pg'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import { type EndClient, internalsOf } from './internals.ts'
import { keepListening } from './kept-listeners.ts'

/** How to part from a server. */
export interface TerminateSettings {
  readonly endClient: EndClient
  readonly clock: Clock
  /** Tell the server, don't, or wait for the goodbye that somebody else has begun. */
  readonly how: 'polite' | 'destroy' | 'wait'
  readonly timeoutMillis: number
}

/** Closes a client's socket, politely or not, and resolves when it is closed: after `timeoutMillis` at the latest. */
export function sendTerminate(
  client: Client,
  { endClient, clock, how, timeoutMillis }: TerminateSettings,
): Promise<void> {
  const { connection } = internalsOf(client)
  const { stream } = connection
  return new Promise((resolve) => {
    const closed = (): void => {
      cancel()
      forgetEnd()
      stream.off('close', closed)
      resolve()
    }
    const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => {
      stream.destroy()
      closed()
    })
    const forgetEnd = keepListening(connection, 'end', closed)
    if (stream.closed) return closed()
    // The driver has no listener on a socket that it failed to connect at all.
    stream.on('close', closed)
    try {
      // What a class of the user's own returns may reject.
      if (how === 'polite') Promise.resolve(endClient(client)).catch(() => stream.destroy())
      else if (how === 'destroy') stream.destroy()
    } catch {
      stream.destroy() // A client class of the user's own: there is nobody to tell, and it shall be gone.
    }
  })
}
