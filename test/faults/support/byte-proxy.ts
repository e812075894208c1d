import type net from 'node:net'
import type { Address } from '../../support/index.ts'
import { PlainProxy } from '../../support/plain-proxy.ts'

/** Which way bytes go. */
export type Way = 'to-server' | 'to-client'

/**
 * A proxy that counts bytes and round trips, and resets a connection behind a certain byte. It doesn't decrypt, so what goes
 * through it has no TLS. What is armed acts once, on whichever connection carries the byte.
 */
export class ByteProxy extends PlainProxy {
  readonly passed: Record<Way, number> = { 'to-server': 0, 'to-client': 0 }
  /** How often a client has sent something after the server had answered: round trips. */
  turns = 0
  #cut: { readonly way: Way; left: number } | undefined
  #last: Way = 'to-client'

  static async start(target: Address): Promise<ByteProxy> {
    return await new ByteProxy().listen(target)
  }

  /** Whether what was armed has acted. */
  get hasCut(): boolean {
    return this.#cut === undefined
  }

  /** Lets so many bytes pass, and resets the connection that would carry the next one. */
  cutAfter(way: Way, bytes: number): void {
    this.#cut = { way, left: bytes }
  }

  /** Begins to count. */
  reset(): void {
    this.passed['to-server'] = 0
    this.passed['to-client'] = 0
    this.turns = 0
    this.#last = 'to-client'
  }

  protected relay(client: net.Socket, server: net.Socket): void {
    const pair = [client, server]
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
