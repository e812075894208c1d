import net from 'node:net'
import { type Identity, identityOf, negotiate, type TlsServer } from '../../support/aimed-proxy-tls.ts'
import { listenOnFreePort } from '../../support/free-port.ts'
import type { Address, ClusterConfig } from '../../support/index.ts'

/** A proxy that says something to clients that the server hasn't said, as poolers do that mix up replies. Under TLS, too. */
export class InterjectingProxy implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  /** The clients' ends of the connections that are open, oldest first. */
  readonly clients: net.Socket[] = []
  /** What connections begin with from now on, before the server's first word. */
  greeting: Buffer | undefined
  /** How often it was said. */
  greeted = 0
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()

  private constructor(server: net.Server, port: number, target: Address, identity: Identity | undefined) {
    this.#server = server
    this.port = port
    server.on('connection', (client) => void this.#accept(client, target, identity))
  }

  /** Makes a proxy in front of a server. */
  static async start(cluster: TlsServer): Promise<InterjectingProxy> {
    const server = net.createServer({ allowHalfOpen: true })
    const identity = await identityOf(cluster)
    return new InterjectingProxy(server, await listenOnFreePort(server), cluster, identity)
  }

  /** A copy of a configuration that leads through this proxy. */
  config<Config extends Partial<ClusterConfig>>(config: Config): Config & Address {
    return { ...config, host: this.host, port: this.port }
  }

  /** Says this to one client, now. */
  interject(bytes: Buffer, client: net.Socket | undefined = this.clients.at(-1)): void {
    if (!client) throw new Error('There is no client to say anything to')
    client.write(bytes)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #accept(raw: net.Socket, target: Address, identity: Identity | undefined): Promise<void> {
    const server = net.connect({ ...target, allowHalfOpen: true })
    for (const socket of [raw, server]) this.#keep(socket)
    const ends = await negotiate(raw, server, identity)
    if (!ends) {
      raw.destroy()
      server.destroy()
      return
    }
    this.#keep(ends.client)
    this.#keep(ends.server)
    this.clients.push(ends.client)
    ends.client.once('close', () => this.clients.splice(this.clients.indexOf(ends.client), 1))
    if (this.greeting) {
      this.greeted++
      ends.client.write(this.greeting)
    }
    ends.client.pipe(ends.server)
    ends.server.pipe(ends.client)
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
  }
}
