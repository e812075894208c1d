import { Duplex } from 'node:stream'

/** What a socket is plugged into. */
export interface Plug {
  connect(socket: ModelSocket): void
  send(chunk: Buffer): void
  /** The client has nothing more to say, or doesn't listen any more. */
  leave(): void
}

/** What the driver takes for a socket. */
export class ModelSocket extends Duplex {
  readonly #plug: Plug

  constructor(plug: Plug) {
    super({ allowHalfOpen: false })
    this.#plug = plug
  }

  connect(): this {
    this.#plug.connect(this)
    return this
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#plug.send(chunk)
    done()
  }

  override _final(done: () => void): void {
    this.#plug.leave()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#plug.leave()
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
