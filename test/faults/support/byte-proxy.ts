import { once } from 'node:events'
import net from 'node:net'
import { listenOnFreePort } from '../../support/free-port.ts'
import type { Address } from '../../support/index.ts'

/** Which way bytes go. */
export type Way = 'to-server' | 'to-client'

/**
 * A proxy that counts bytes and round trips, and resets a connection behind a certain byte. It doesn't decrypt, so what goes
 * through it has no TLS. What is armed acts once, on whichever connection carries the byte.
 */
export class ByteProxy implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly passed: Record<Way, number> = { 'to-server': 0, 'to-client': 0 }
  /** How often a client has sent something after the server had answered: round trips. */
  turns = 0
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  #cut: { readonly way: Way; left: number } | undefined
  #last: Way = 'to-client'

  private constructor(server: net.Server, port: number, target: Address) {
    this.#server = server
    this.port = port
    server.on('connection', (client) => this.#accept(client, target))
  }

  static async start({ host, port }: Address): Promise<ByteProxy> {
    const server = net.createServer()
    return new ByteProxy(server, await listenOnFreePort(server), { host, port })
  }

  /** Whether what was armed has acted. */
  get hasCut(): boolean {
    return this.#cut === undefined
  }

  /** Lets so many bytes pass, and resets the connection that would carry the next one. */
  cutAfter(way: Way, bytes: number): void {
    this.#cut = { way, left: bytes }
  }

  /** A copy of a pg configuration that leads through this proxy, without TLS. */
  config<Config extends object>(config: Config): Config & Address & { ssl: false } {
    return { ...config, host: this.host, port: this.port, ssl: false }
  }

  /** Begins to count. */
  reset(): void {
    this.passed['to-server'] = 0
    this.passed['to-client'] = 0
    this.turns = 0
    this.#last = 'to-client'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #accept(client: net.Socket, { host, port }: Address): void {
    const server = net.connect(port, host)
    const pair = [client, server]
    for (const socket of pair) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        for (const each of pair) each.destroy()
      })
    }
    client.on('data', (bytes) => this.#pass('to-server', bytes, server, pair))
    server.on('data', (bytes) => this.#pass('to-client', bytes, client, pair))
  }

  #pass(way: Way, bytes: Buffer, to: net.Socket, pair: readonly net.Socket[]): void {
    if (way === 'to-server' && this.#last === 'to-client') this.turns++
    this.#last = way
    this.passed[way] += bytes.length
    const cut = this.#cut
    if (cut?.way !== way || bytes.length <= cut.left) {
      if (cut?.way === way) cut.left -= bytes.length
      to.write(bytes)
      return
    }
    this.#cut = undefined
    to.write(bytes.subarray(0, cut.left), () => {
      for (const socket of pair) socket.resetAndDestroy()
    })
  }
}
