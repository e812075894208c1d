import { Duplex } from 'node:stream'

/** What a socket sends to. */
export interface SocketPeer {
  connect(socket: ModelSocket): void
  send(chunk: Buffer): void
  /** The client has closed the socket. */
  leave(): void
}

/** The socket for the driver. */
export class ModelSocket extends Duplex {
  readonly #peer: SocketPeer
  bytesRead = 0
  bytesWritten = 0

  constructor(peer: SocketPeer) {
    super({ allowHalfOpen: false })
    this.#peer = peer
  }

  connect(): this {
    this.#peer.connect(this)
    return this
  }

  /** Bytes have arrived. */
  receive(bytes: Buffer): void {
    this.bytesRead += bytes.length
    this.push(bytes)
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.bytesWritten += chunk.length
    this.#peer.send(chunk)
    done()
  }

  override _final(done: () => void): void {
    this.#peer.leave()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#peer.leave()
    done(error)
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}
