import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Client } from 'pg'
import type { Endpoint } from '../errors.ts'
import type { TransactionStatus } from '../policy/reset.ts'
import { type DriverInternals, internalsOf } from './internals.ts'
import { keepListeners, keepListening } from './kept-listeners.ts'
import { KnownPooler } from './known-pooler.ts'

/** What the server says of one of its settings. */
interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

/**
 * What the driver knows of a client's session beyond its documented surface: what the server has said, and the socket.
 * Listeners that are added here stay when a caller removes all listeners.
 */
export class DriverSession {
  readonly #client: Client
  readonly #internals: DriverInternals
  readonly #pooler: KnownPooler
  /** The process that served it when it was last asked, as digits, and whether it is the one that the login has named. */
  #server: string | undefined
  #isServedAsNamed: boolean | undefined

  /** `pooler`: what is known of a pooler, shared by the connections of a pool. */
  constructor(client: Client, pooler: KnownPooler = new KnownPooler()) {
    this.#client = client
    this.#internals = internalsOf(client)
    this.#pooler = pooler
  }

  /** Whether the server has answered everything that was sent (ReadyForQuery). */
  get isReady(): boolean {
    return this.#internals.readyForQuery === true
  }

  get transactionStatus(): TransactionStatus {
    return this.#internals.getTransactionStatus()
  }

  get backendPid(): number | null {
    return this.#internals.processID
  }

  /**
   * Whether the server itself is at the other end, and no pooler that may serve each statement by another session. Undefined
   * until the server was asked, unless the pool knows.
   */
  get isDirect(): boolean | undefined {
    return this.#pooler.isDirect(this.#isServedAsNamed)
  }

  /** Whether it was asked which process serves it. */
  get hasToldProcess(): boolean {
    return this.#server !== undefined
  }

  /** What `pg_backend_pid()` answers, as a number or its digits. A pooler has named another process at the login. */
  servedBy(pid: unknown): void {
    if (pid === undefined || this.backendPid === null) return
    const before = this.#server
    this.#server = String(pid)
    this.#isServedAsNamed = this.#server === String(this.backendPid)
    this.#pooler.served(this.#isServedAsNamed)
    if (before !== undefined && before !== this.#server) this.#pooler.moved()
  }

  /** Whether the server has given a key to cancel with: a pooler may give none. */
  get isCancellable(): boolean {
    return this.#internals.secretKey !== null
  }

  /** Options that are sent at start-up, whether they come from the connection string, the config or PGOPTIONS. */
  get startupOptions(): string {
    return this.#internals.connectionParameters.options ?? ''
  }

  set startupOptions(options: string) {
    this.#internals.connectionParameters.options = options
  }

  /** Where it leads to. For `hint` see `Endpoint`. */
  endpoint(hint: string | undefined): Endpoint {
    const { host, port, database } = this.#client as Client & { readonly database?: string | undefined }
    return { host, port, database, ...(hint !== undefined && { hint }) }
  }

  /** Calls back with each error of the server, before the driver acts on it and tells the statement. */
  onServerError(listener: (error: Error) => void): void {
    keepListening(this.#internals.connection, 'errorMessage', listener, 'first')
  }

  /** Calls back with each setting that the server reports: at start-up, and whenever it changes. */
  onParameter(listener: (name: string, value: string) => void): void {
    keepListening(this.#internals.connection, 'parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) =>
      listener(parameterName, parameterValue),
    )
  }

  /** Calls back whenever the server has answered everything. Returns what stops it. */
  onReady(listener: () => void): () => void {
    return keepListening(this.#internals.connection, 'readyForQuery', listener)
  }

  /** Calls back when the socket is closed. Returns what stops it. */
  onEnd(listener: () => void): () => void {
    return keepListening(this.#internals.connection, 'end', listener)
  }

  /** Keeps the driver's own listeners. Comes after the login, since TLS replaces the socket. */
  keepDriverListeners(): void {
    const { connection } = this.#internals
    keepListeners(connection, connection.eventNames())
    // Not those for data: COPY takes the socket's data over for a while.
    keepListeners(connection.stream, ['error', 'close'])
  }

  /**
   * Makes the driver believe that its socket is closed, so that it tells all statements. Data that still arrives is thrown
   * away.
   */
  detach(): void {
    const { connection } = this.#internals
    const { stream } = connection
    stream.removeAllListeners('data')
    stream.on('data', () => {})
    connection.emit('end')
  }

  /** What has passed through the socket. One of the user's own making may not count: then `bytesRead` is undefined. */
  get traffic(): {
    readonly bytesRead: number | undefined
    readonly bytesWritten: number
    readonly isFlushed: boolean
    readonly isReading: boolean
  } {
    const { stream } = this.#internals.connection as { readonly stream: Duplex & Partial<Pick<Socket, 'bytesRead'>> }
    return {
      bytesRead: stream.bytesRead,
      bytesWritten: (stream as Partial<Socket>).bytesWritten ?? 0,
      isFlushed: stream.writableLength === 0,
      isReading: stream.readableFlowing === true && !stream.isPaused(),
    }
  }

  destroySocket(): void {
    this.#internals.connection.stream.destroy()
  }

  /** Makes the driver emit this error, as if the socket had failed of it, and destroys the socket. */
  fail(error: Error): void {
    this.#internals.connection.emit('error', error)
    this.destroySocket()
  }
}
