import { EventEmitter } from 'node:events'
import pg, { type ClientConfig } from 'pg'

/** The protocol's word on a session: idle, in a transaction, in a failed one. */
export type Status = 'I' | 'T' | 'E'

/** How the server treats new clients: accepts them, never answers, or refuses with this error. */
export type Welcome = 'accept' | 'hang' | Error

/** An error as the server sends it, with its severity. */
export function serverError(code: string, message: string, severity = 'ERROR'): Error & { code: string } {
  return Object.assign(new Error(message), { code, severity })
}

/** An error as the operating system reports it. */
export function systemError(code: string): Error & { code: string } {
  return Object.assign(new Error(`connect ${code} 127.0.0.1:5432`), { code })
}

/** What the server says to every session when an administrator ends them. */
export function adminShutdown(): Error & { code: string } {
  return serverError('57P01', 'terminating connection due to administrator command', 'FATAL')
}

/**
 * A server without a network: `Client` is pg's own client, whose protocol layer talks to this object. What happens on
 * the wire is what the test says; what the client makes of it is what pg makes of it.
 *
 * ```ts
 * const server = new FakeServer()
 * const pool = new Pool({ Client: server.Client })
 * server.backends[0].terminate()
 * ```
 */
export class FakeServer {
  /** How attempts to connect fare from now on. */
  welcome: Welcome = 'accept'
  /** How the next attempts fare, one by one, before `welcome` applies. */
  readonly nextWelcomes: Welcome[] = []
  /** Whether sessions opened from now on answer nothing, like a flow that a firewall forgot. */
  silent = false
  /** Whether connections are accepted at all; otherwise each SYN is swallowed. */
  isReachable = true
  /** Whether Terminate closes the socket. */
  hearsGoodbyes = true
  /** Whether a destroyed socket is ever reported as closed. */
  closesSockets = true
  /** What it reports at each login; undefined for nothing, as before PostgreSQL 14. */
  role: 'primary' | 'standby' | undefined = undefined
  /** The servers of other hosts, by name. */
  readonly others = new Map<string, FakeServer>()
  /** Every attempt to connect so far, the failed ones too, in their order. */
  readonly backends: FakeBackend[] = []
  readonly Client: typeof pg.Client

  constructor() {
    const server = this
    this.Client = class FakeClient extends pg.Client {
      constructor(config?: ClientConfig) {
        const led = server.others.get(config?.host ?? '') ?? server
        const backend = new FakeBackend(led, led.backends.length + 1)
        led.backends.push(backend)
        super({ ...config, connection: backend.wire } as ClientConfig)
      }
    }
  }

  /** The latest session, or the one with this number, counted from 1. */
  backend(number: number = this.backends.length): FakeBackend {
    const backend = this.backends[number - 1]
    if (!backend) throw new Error(`Connection ${number} was never tried: there were ${this.backends.length} attempts`)
    return backend
  }

  /** What all sessions received, in the order of the sessions. */
  get received(): string[] {
    return this.backends.flatMap(({ received }) => received)
  }
}

/** One session as the server sees it, or one attempt to get one. */
export class FakeBackend {
  readonly pid: number
  readonly wire: Wire
  /** The statements that arrived, and `Terminate`. */
  readonly received: string[] = []
  /** Answers nothing from now on; `answer()` answers after all. */
  silent: boolean
  /** Sends results and errors, but the ReadyForQuery behind them only on `readyForQuery()`. */
  holdsReadyForQuery = false
  /** What statements fail with, by their text. */
  readonly failures = new Map<string, Error>()
  readonly #server: FakeServer
  readonly #unanswered: string[] = []
  #status: Status = 'I'

  constructor(server: FakeServer, number: number) {
    this.#server = server
    this.pid = 1000 + number
    this.silent = server.silent
    this.wire = new Wire(this)
  }

  /** Whether the server takes up the connection. */
  get isReachable(): boolean {
    return this.#server.isReachable
  }

  /** Whether the socket is open. */
  get isOpen(): boolean {
    return !this.wire.stream.destroyed
  }

  /** Accepts the clients that wait to be connected. */
  accept(): void {
    const { role } = this.#server
    const parameterValue = role === 'standby' ? 'on' : 'off'
    if (role) this.wire.emit('parameterStatus', { parameterName: 'in_hot_standby', parameterValue })
    this.wire.emit('backendKeyData', { processID: this.pid, secretKey: null })
    this.readyForQuery()
  }

  /** Sends a step of the login to the clients that wait to be connected. */
  utter(): void {
    this.wire.stream.bytesRead++
  }

  /** Refuses the clients that wait to be connected, or cuts a connection, as the operating system does: with an error. */
  fail(error: Error): void {
    if (!this.isOpen) return
    this.wire.emit('error', error)
    this.wire.stream.destroy()
  }

  /** Sends an error, unasked or as the answer to the current statement. FATAL comes before the end. */
  send(error: Error): void {
    this.wire.emit('errorMessage', error)
  }

  /** Ends the session: says why, then closes. */
  terminate(reason: Error = adminShutdown()): void {
    this.send(reason)
    this.disappear()
  }

  /** Closes the socket without a word (FIN). */
  disappear(): void {
    this.wire.stream.destroy()
  }

  /** Answers the statements that lie unanswered. */
  answer(): void {
    for (const sql of this.#unanswered.splice(0)) this.#reply(sql)
  }

  /** Is ready for the next statement. */
  readyForQuery(status: Status = this.#status): void {
    this.#status = status
    this.wire.emit('readyForQuery', { status })
  }

  /** Called when a client connects. */
  connecting(): void {
    const welcome = this.#server.nextWelcomes.shift() ?? this.#server.welcome
    if (welcome === 'hang') return
    soon(() => {
      if (!this.isOpen) return
      if (welcome === 'accept') this.accept()
      else if ('severity' in welcome) this.terminate(welcome)
      else this.fail(welcome)
    })
  }

  /** Called by the wire: a statement arrived. */
  asked(sql: string): void {
    if (!isProbe(sql)) this.received.push(sql)
    this.#unanswered.push(sql)
    soon(() => {
      if (!this.silent && this.isOpen) this.answer()
    })
  }

  /** Called by the wire: several statements arrived under one Sync. If one fails, the rest is skipped. */
  askedTogether(texts: readonly string[]): void {
    this.received.push(...texts)
    this.#unanswered.push(texts.join(TOGETHER))
    soon(() => {
      if (!this.silent && this.isOpen) this.answer()
    })
  }

  /** Called when the client sends Terminate. */
  leftBehind(): void {
    this.received.push('Terminate')
    if (this.#server.hearsGoodbyes) this.disappear()
  }

  /** Called by the wire: its socket was destroyed. */
  closed(): void {
    if (this.#server.closesSockets) soon(() => this.wire.emit('end'))
  }

  #reply(asked: string): void {
    for (const sql of asked.split(TOGETHER)) if (!this.#replyTo(sql)) break
    if (!this.holdsReadyForQuery && this.isOpen) this.readyForQuery()
  }

  /** Returns false if the statement has failed. */
  #replyTo(sql: string): boolean {
    const failure = isProbe(sql) ? serverError('42883', 'function does not exist') : this.failures.get(sql)
    if (failure) {
      if (this.#status === 'T') this.#status = 'E'
      this.send(failure)
    } else {
      this.#status = statusAfter(sql, this.#status)
      if (sql === ';') this.wire.emit('emptyQuery')
      else this.wire.emit('commandComplete', { text: sql })
    }
    return failure === undefined
  }
}

const TOGETHER = '\0'

/** The pool asks for the ids of transactions, of which this server knows nothing. Unseen by tests of other things. */
function isProbe(sql: string): boolean {
  return sql.includes('pg_current_xact_id_if_assigned')
}

function statusAfter(sql: string, before: Status): Status {
  if (/^begin/i.test(sql)) return 'T'
  return /^(?:commit|rollback)/i.test(sql) ? 'I' : before
}

/** Pg's protocol layer, as far as a client touches it, with a test at the other end. */
class Wire extends EventEmitter {
  readonly stream: Socket
  readonly parsedStatements: Record<string, string> = {}
  readonly submittedNamedStatements: Record<string, string> = {}
  /** The texts that were parsed under a name. */
  readonly named: Set<string> = new Set()
  readonly #backend: FakeBackend
  _connecting = false
  parsed = ''
  /** What is to be executed up to the next Sync. */
  readonly executed: string[] = []

  constructor(backend: FakeBackend) {
    super()
    this.#backend = backend
    this.stream = new Socket(backend)
  }

  connect(): void {
    this._connecting = true
    this.stream.connecting = !this.#backend.isReachable
    if (!this.stream.connecting) soon(() => this.emit('connect'))
  }

  startup(): void {
    this.#backend.connecting()
  }

  query(text: string): void {
    if (!this.stream.destroyed) this.#backend.asked(text)
  }

  parse({ text, name }: { text: string; name?: string }): void {
    this.parsed = text
    if (name) this.named.add(text)
  }

  bind(): void {}
  close(): void {}
  describe(): void {}
  flush(): void {}

  execute(): void {
    this.executed.push(this.parsed)
  }

  sync(): void {
    const executed = this.executed.splice(0)
    if (executed.length > 1 && !this.stream.destroyed) this.#backend.askedTogether(executed)
    else this.query(this.parsed)
  }

  end(): void {
    if (!this.stream.destroyed) this.#backend.leftBehind()
  }

  ref(): void {
    this.stream.isRef = true
  }

  unref(): void {
    this.stream.isRef = false
  }
}

class Socket extends EventEmitter {
  destroyed = false
  connecting = false
  /** What has arrived at the client: in a login, that a server answers. */
  bytesRead = 0
  isRef = true
  readonly #backend: FakeBackend

  constructor(backend: FakeBackend) {
    super()
    this.#backend = backend
  }

  get writable(): boolean {
    return !this.destroyed
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.#backend.closed()
  }
}

/** Not in the tick of its cause, as on any network. */
function soon(task: () => void): void {
  process.nextTick(task)
}
