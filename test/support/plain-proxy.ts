import { once } from 'node:events'
import net from 'node:net'
import { listenOnFreePort } from './free-port.ts'
import type { Address } from './link.ts'

/** A proxy without TLS: each client gets a connection to the server, and `relay` says what passes between the two. */
export abstract class PlainProxy implements AsyncDisposable {
  readonly host = '127.0.0.1'
  port = 0
  readonly #server: net.Server = net.createServer()
  readonly #sockets = new Set<net.Socket>()

  /** A copy of a pg configuration that leads through this proxy, without TLS. */
  config<Config extends object>(config: Config): Config & Address & { ssl: false } {
    return { ...config, host: this.host, port: this.port, ssl: false }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Listens on a free port, in front of a server that takes connections without TLS. */
  protected async listen({ host, port }: Address): Promise<this> {
    this.#server.on('connection', (client) => this.#accept(client, net.connect(port, host)))
    this.port = await listenOnFreePort(this.#server)
    return this
  }

  protected abstract relay(client: net.Socket, server: net.Socket): void

  #accept(client: net.Socket, server: net.Socket): void {
    const pair = [client, server]
    for (const socket of pair) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        for (const each of pair) each.destroySoon()
      })
    }
    this.relay(client, server)
  }
}
