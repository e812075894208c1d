import { once } from 'node:events'
import fs from 'node:fs/promises'
import type net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'

/** What it takes to stand in for a server with TLS: a {@link Cluster} has it. */
export interface TlsServer {
  readonly host: string
  readonly port: number
  /** Its data directory, with the certificate and the key in their usual places. */
  readonly data: string
  /** The authority that signed the certificate; undefined without TLS. */
  readonly ca: string | undefined
}

/** A server's own identity, towards clients, and what it is itself checked by. */
export interface Identity {
  readonly context: tls.SecureContext
  readonly ca: string
}

/** Both ends of a connection, negotiated; what is read from them is the plain protocol if they are secured. */
export interface Ends {
  readonly client: net.Socket
  readonly server: net.Socket
  readonly isSecured: boolean
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const TLS_HANDSHAKE = 22
const YES = 'S'.charCodeAt(0)
/** Asked for by clients that begin with TLS at once, and by servers of those. */
const ALPNProtocols = ['postgresql']

/** Reads the certificate and the key of a server; undefined if it has none. */
export async function identityOf({ data, ca }: TlsServer): Promise<Identity | undefined> {
  if (ca === undefined) return undefined
  const [cert, key] = await Promise.all([
    fs.readFile(path.join(data, 'server.crt')),
    fs.readFile(path.join(data, 'server.key')),
  ])
  return { context: tls.createSecureContext({ cert, key }), ca }
}

/**
 * Lets client and server agree on TLS, and secures either side on its own if they do. Resolves with undefined if one of
 * them leaves before. Whatever the client begins with instead, a cancel request for one, is still to be read.
 */
export async function negotiate(
  client: net.Socket,
  server: net.Socket,
  identity: Identity | undefined,
): Promise<Ends | undefined> {
  const plain: Ends = { client, server, isSecured: false }
  const first = await read(client, 1)
  if (!first) return undefined
  client.unshift(first)
  if (!identity) return plain
  if (first[0] === TLS_HANDSHAKE) return secure(client, server, identity)
  const packet = await read(client, SSL_REQUEST.length)
  if (!packet) return undefined
  if (!packet.equals(SSL_REQUEST)) {
    client.unshift(packet)
    return plain
  }
  server.write(packet)
  const answer = await read(server, 1)
  if (!answer) return undefined
  client.write(answer)
  return answer[0] === YES ? secure(client, server, identity) : plain
}

function secure(client: net.Socket, server: net.Socket, { context, ca }: Identity): Ends {
  const options = { isServer: true, secureContext: context, ALPNProtocols }
  return {
    client: resettable(new tls.TLSSocket(client, options), client),
    server: resettable(tls.connect({ socket: server, ca, ALPNProtocols }), server),
    isSecured: true,
  }
}

/** Node cannot reset a connection by its TLS socket. By the one underneath it can, and the former then closes, too. */
function resettable(secured: tls.TLSSocket, raw: net.Socket): tls.TLSSocket {
  secured.resetAndDestroy = () => {
    raw.resetAndDestroy()
    return secured
  }
  return secured
}

/** Exactly so many bytes: what follows may be for another reader. Undefined if they don't arrive. */
async function read(socket: net.Socket, length: number): Promise<Buffer | undefined> {
  const gone = new AbortController()
  const leave = (): void => gone.abort()
  socket.once('end', leave).once('close', leave)
  try {
    for (;;) {
      const bytes = socket.read(length) as Buffer | null
      if (bytes?.length === length) return bytes
      if (bytes || socket.readableEnded || socket.destroyed) return undefined
      await once(socket, 'readable', { signal: gone.signal })
    }
  } catch {
    return undefined
  } finally {
    socket.off('end', leave).off('close', leave)
  }
}
