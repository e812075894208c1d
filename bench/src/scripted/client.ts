import { EventEmitter } from 'node:events'
import pg, { type ClientConfig } from 'pg'

/** A class of clients that a pool can't distinguish from pg's own. */
export type ClientClass = typeof pg.Client

/**
 * pg's own client with a protocol layer that has no server: it connects after `connectMillis` (0 means at once) and answers every
 * statement at once with an empty result. So a benchmark measures the pool alone, and every pool has the same client.
 */
export function scriptedClient(connectMillis = 0): ClientClass {
  return class ScriptedClient extends pg.Client {
    constructor(config?: ClientConfig) {
      // Without TLS, whatever the environment says: there is no server to negotiate with.
      super({ ...config, ssl: false, connection: new ScriptedWire(connectMillis) } as ClientConfig)
    }
  }
}

/** Pg's protocol layer, as far as a client touches it. */
class ScriptedWire extends EventEmitter {
  readonly stream: ScriptedSocket = new ScriptedSocket(() => process.nextTick(() => this.emit('end')))
  readonly parsedStatements: Record<string, string> = {}
  readonly submittedNamedStatements: Record<string, string> = {}
  readonly #connectMillis: number
  _connecting = false

  constructor(connectMillis: number) {
    super()
    this.#connectMillis = connectMillis
  }

  connect(): void {
    this._connecting = true
    const connected = (): boolean => this.emit('connect')
    if (this.#connectMillis > 0) setTimeout(connected, this.#connectMillis)
    else process.nextTick(connected)
  }

  startup(): void {
    process.nextTick(() => {
      this.emit('backendKeyData', { processID: 1, secretKey: 0 })
      this.emit('readyForQuery', READY)
    })
  }

  query(): void {
    process.nextTick(() => {
      this.emit('emptyQuery')
      this.emit('readyForQuery', READY)
    })
  }

  parse(): void {}
  bind(): void {}
  describe(): void {}
  execute(): void {}
  flush(): void {}

  sync(): void {
    this.query()
  }

  end(): void {
    this.stream.destroy()
  }

  ref(): void {}
  unref(): void {}
}

class ScriptedSocket extends EventEmitter {
  readonly #closed: () => void
  destroyed = false

  constructor(closed: () => void) {
    super()
    this.#closed = closed
  }

  get writable(): boolean {
    return !this.destroyed
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.#closed()
  }
}

const READY = { status: 'I' } as const
