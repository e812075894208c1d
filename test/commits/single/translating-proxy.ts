import net from 'node:net'
import { listenOnFreePort } from '../../support/free-port.ts'
import type { Address } from '../../support/index.ts'

const HEADER_LENGTH = 5
const ERROR = 'E'.charCodeAt(0)
const NOTICE = 'N'.charCodeAt(0)

/** As `lc_messages` does: the severity, and the message. The embedded server has no translations of its own. */
const WORDS: Readonly<Record<string, string>> = { ERROR: 'FEHLER', FATAL: 'FATAL ERROR', WARNING: 'WARNUNG' }

/** A proxy, without TLS, that translates the server's errors and notices. */
export class TranslatingProxy implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()

  private constructor(server: net.Server, port: number, target: Address) {
    this.#server = server
    this.port = port
    server.on('connection', (client) => this.#accept(client, target))
  }

  /** Makes a proxy in front of a server without TLS. */
  static async start({ host, port }: Address): Promise<TranslatingProxy> {
    const server = net.createServer()
    return new TranslatingProxy(server, await listenOnFreePort(server), { host, port })
  }

  /** A copy of a configuration that leads through this proxy. */
  config<Config extends object>(config: Config): Config & Address {
    return { ...config, host: this.host, port: this.port }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #accept(client: net.Socket, target: Address): void {
    const server = net.connect(target)
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        client.destroySoon()
        server.destroySoon()
      })
    }
    client.on('data', (bytes) => server.write(bytes))
    let unread = Buffer.alloc(0)
    server.on('data', (bytes) => {
      unread = Buffer.concat([unread, bytes])
      const messages: Buffer[] = []
      while (unread.length >= HEADER_LENGTH && unread.length >= 1 + unread.readInt32BE(1)) {
        const length = 1 + unread.readInt32BE(1)
        messages.push(translated(unread.subarray(0, length)))
        unread = unread.subarray(length)
      }
      if (messages.length > 0) client.write(Buffer.concat(messages))
    })
  }
}

function translated(message: Buffer): Buffer {
  const [type] = message
  if (type !== ERROR && type !== NOTICE) return message
  const fields = message.toString('utf8', HEADER_LENGTH).split('\0')
  const body = Buffer.from(fields.map(translatedField).join('\0'))
  const header = Buffer.from([type, 0, 0, 0, 0])
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

/** V, which pg doesn't show, is never translated. */
function translatedField(field: string): string {
  if (field.startsWith('S')) return `S${WORDS[field.slice(1)] ?? field.slice(1)}`
  return field.startsWith('M') ? 'Mdie Verbindung wurde beendet' : field
}
