import { type Client, Connection as Protocol } from 'pg'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import { guardReading } from './guarded-reading.ts'
import { internalsOf, type ReadingProtocol } from './internals.ts'

/** The user's way of making sockets, or the one socket that was given; undefined for the driver's own. */
export type SocketSource = (() => unknown) | object | undefined

/** Whether the server can be reached once more. The one socket is in use, and any other may lead elsewhere. */
export function isReachable(stream: SocketSource): stream is (() => unknown) | undefined {
  return typeof stream !== 'object'
}

/** How to reach the server once more. */
export interface CancelSettings {
  readonly clock: Clock
  /** The user's way of making sockets, if he has one. */
  readonly stream: (() => unknown) | undefined
  readonly timeoutMillis: number
}

/**
 * Asks the server to cancel what this client's session runs, over a socket of its own as the protocol wants it. Resolves
 * when the server has closed that socket, which it does after passing the request on, and also when it couldn't be reached,
 * whatever the reason: nobody learns from a cancel request whether it came in time, and the statement is waited for anyway.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function requestCancel(client: Client, { clock, stream, timeoutMillis }: CancelSettings): Promise<void> {
  const { processID, secretKey, connectionParameters } = internalsOf(client)
  const { host, port } = client
  const { ssl, sslnegotiation } = connectionParameters
  return new Promise<void>((resolve) => {
    // Throws if the user's way of making sockets does.
    const protocol = new Protocol({
      ssl,
      sslNegotiation: sslnegotiation,
      stream,
    } as object) as unknown as CancelProtocol
    const cancelPatience = afterPatience(clock, timeoutMillis, 'nothing', close)
    function close(): void {
      cancelPatience()
      protocol.stream.destroy()
      resolve()
    }
    function send(): void {
      protocol.cancel(processID, secretKey)
    }
    guardReading(protocol, close)
    protocol.on('error', close)
    protocol.on('end', close)
    if (!ssl) protocol.once('connect', send)
    else {
      if (sslnegotiation !== 'direct') protocol.once('connect', () => protocol.requestSsl())
      protocol.once('sslconnect', send)
    }
    // Of itself it keeps no process alive. TLS replaces the socket.
    unref(protocol)
    protocol.once('sslconnect', () => unref(protocol))
    if (host?.startsWith('/')) protocol.connect(`${host}/.s.PGSQL.${port}`)
    else protocol.connect(port, host)
  }).catch(() => {})
}

/** A socket of the user's own making may know no such thing. */
function unref({ stream }: CancelProtocol): void {
  const socket: { unref?(): void } = stream as object
  socket.unref?.()
}

/** The driver's protocol layer, of which @types/pg knows but half. */
interface CancelProtocol extends ReadingProtocol {
  requestSsl(): void
  cancel(processID: number | null, secretKey: number | null): void
}
