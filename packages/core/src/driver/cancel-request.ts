import { type Client, Connection as Protocol } from 'pg'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/clock.ts'
import { guardReading } from './guarded-reading.ts'
import { internalsOf, type ReadingProtocol } from './internals.ts'

/** The option `stream`: a function that makes sockets, or a single socket; undefined for the driver's own sockets. */
export type SocketSource = (() => unknown) | object | undefined

/** Whether a second connection can be made. A single socket is in use, and another one may lead elsewhere. */
export function isReachable(stream: SocketSource): stream is (() => unknown) | undefined {
  return typeof stream !== 'object'
}

/** How to make a second connection. */
export interface CancelSettings {
  readonly clock: Clock
  /** The user's function that makes sockets, if there is one. */
  readonly stream: (() => unknown) | undefined
  readonly timeoutMillis: number
}

/**
 * Asks the server to cancel the statement of this client's session, over a second socket as the protocol demands. Resolves
 * when the server has closed that socket, which it does after passing the request on. Resolves as well when the server can't
 * be reached: a cancel request never tells whether it came in time, and the statement is awaited anyway.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function requestCancel(client: Client, { clock, stream, timeoutMillis }: CancelSettings): Promise<void> {
  const { processID, secretKey, connectionParameters } = internalsOf(client)
  const { host, port } = client
  const { ssl, sslnegotiation } = connectionParameters
  return new Promise<void>((resolve) => {
    // Throws if the user's function throws.
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
    // This socket alone keeps no process alive. TLS replaces it, so it is done twice.
    unref(protocol)
    protocol.once('sslconnect', () => unref(protocol))
    if (host?.startsWith('/')) protocol.connect(`${host}/.s.PGSQL.${port}`)
    else protocol.connect(port, host)
  }).catch(() => {})
}

/** A socket of the user's own making may have no `unref`. */
function unref({ stream }: CancelProtocol): void {
  const socket: { unref?(): void } = stream as object
  socket.unref?.()
}

/** The driver's protocol layer, with the methods that @types/pg lacks. */
interface CancelProtocol extends ReadingProtocol {
  requestSsl(): void
  cancel(processID: number | null, secretKey: number | null): void
}
