import type { Client } from 'pg'
import { ConnectionLostError, type Endpoint, type Loss, ReleaseError } from '../errors.ts'
import { concernsOthers, endsSession } from '../policy/classify-error.ts'
import { outcomeOfLoss, phaseOfLoss } from '../policy/loss.ts'
import type { TransactionStatus } from '../policy/reset.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { ClientOwner, LeasedClient } from './client.ts'
import { type Driver, type DriverInternals, internalsOf } from './driver.ts'
import { sayGoodbye } from './goodbye.ts'
import { SignsOfLife } from './signs-of-life.ts'
import { type Statement, Statements } from './statements.ts'

/**
 * ```
 * opening ─▶ idle ⇄ checking         a new connection, an idle or a proven one ─▶ leased
 * leased ─▶ resetting ─▶ idle        a clean one: leased ─▶ idle
 * each of these five ─▶ closing ─▶ closed
 * ```
 */
export type ConnectionState = 'opening' | 'idle' | 'checking' | 'leased' | 'resetting' | 'closing' | 'closed'

const MOVES: Record<ConnectionState, readonly ConnectionState[]> = {
  opening: ['idle', 'leased', 'closing'],
  idle: ['checking', 'leased', 'closing'],
  checking: ['idle', 'leased', 'closing'],
  leased: ['idle', 'resetting', 'closing'],
  resetting: ['idle', 'closing'],
  closing: ['closed'],
  closed: [],
}

/** How far the news of a loss reaches: every older connection is dead, is suspect, or isn't concerned. */
export type LossReach = 'all' | 'suspect' | 'own'

/** What a connection is told by its maker. */
export interface ConnectionSettings {
  readonly clock: Clock
  readonly driver: Driver
  readonly pipelined: boolean
  /** The pool's `query_timeout`; `Infinity` for none. */
  readonly queryTimeoutMillis: number
  /** Whether an idle connection lets the process end. */
  readonly allowExitOnIdle: boolean
  /** Told once, when the connection dies outside `close`. */
  readonly onLost: (connection: Connection, loss: Loss, reach: LossReach) => void
}

/** One session, from the first SYN to the last FIN. Knows its state, its facts, and when it died. */
export class Connection implements ClientOwner {
  readonly id: number
  readonly client: LeasedClient
  readonly #settings: ConnectionSettings
  readonly #internals: DriverInternals
  readonly #statements: Statements
  #state: ConnectionState = 'opening'
  #loss: Loss | undefined
  #ended = false
  #hasWorked = false
  readonly signs: SignsOfLife = new SignsOfLife()

  /** The batch it was opened in: those of an older one are stale. */
  generation = 0
  /** When somebody began to open it. */
  startedAt = 0
  /** When it was ready for its first borrower; undefined until then. */
  openedAt: number | undefined
  expiresAt: number = Number.POSITIVE_INFINITY
  idleSince = 0
  leasedAt = 0
  uses = 0

  constructor(id: number, makeClient: (owner: ClientOwner) => LeasedClient, settings: ConnectionSettings) {
    this.id = id
    this.#settings = settings
    this.#statements = new Statements(settings.pipelined)
    this.client = makeClient(this)
    this.#internals = internalsOf(this.client)
    this.#listen()
  }

  /**
   * Moves to another state; only an idle one may let the process end. Throws if the table above has no such move, for
   * that would be our bug.
   */
  move(to: ConnectionState): void {
    if (!MOVES[this.#state].includes(to))
      throw new Error(`BUG: connection ${this.id} cannot go from ${this.#state} to ${to}`)
    this.#state = to
    if (!this.#settings.allowExitOnIdle) return
    if (to === 'idle') this.client.unref()
    else this.client.ref()
  }

  // A method and not a getter: TypeScript narrows a getter, and goes on believing it after an await.
  is(...states: readonly ConnectionState[]): boolean {
    return states.includes(this.#state)
  }

  get state(): ConnectionState {
    return this.#state
  }

  get loss(): Loss | undefined {
    return this.#loss
  }

  get isRolledBack(): boolean {
    return this.#loss?.commitOutcome === 'aborted'
  }

  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /** Where it leads to. */
  get endpoint(): Endpoint {
    const { host, port, database } = this.client as LeasedClient & { database?: string | undefined }
    return { host, port, database }
  }

  get backendPid(): number | null {
    return this.#internals.processID
  }

  get transactionStatus(): TransactionStatus {
    return this.#internals.getTransactionStatus()
  }

  /** Whether the server has answered everything that was sent. */
  get inSync(): boolean {
    return this.#internals.readyForQuery === true && this.#statements.isEmpty
  }

  /** Lies idle from now on. */
  rest(now: number): void {
    this.move('idle')
    this.idleSince = now
  }

  /** Belongs to a borrower from now on. */
  lend(now: number): void {
    this.move('leased')
    this.leasedAt = now
    this.uses++
    this.#hasWorked = false
    this.#statements.settle()
  }

  /**
   * Notes that the session is dead, and destroys its socket: there is nobody to say goodbye to. The first cause
   * counts, later ones follow from it.
   */
  lose(cause: unknown, reach: LossReach = concernsOthers(cause) ? 'all' : 'own'): void {
    if (this.#loss || this.is('closing', 'closed')) return
    const loss = this.#note(cause)
    this.destroy()
    this.#settings.onLost(this, loss, reach)
  }

  /**
   * Sends a statement of the pool, and resolves with the error if there was one. A server that does not answer within
   * `timeoutMillis` has lost the connection; an SQL error has not.
   */
  exchange(sql: string, timeoutMillis: number): Promise<Error | undefined> {
    const { clock, driver } = this.#settings
    const statement = this.begin(sql)
    return new Promise((resolve) => {
      const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => {
        this.lose(new Error(`No answer to ${sql === PING ? 'a ping' : sql} within ${timeoutMillis} ms`))
      })
      driver.query(this.client, sql, (error) => {
        cancel()
        if (error && !('severity' in error)) this.lose(error)
        this.end(statement, error ? 'failed' : 'answered')
        resolve(error ?? undefined)
      })
    })
  }

  /** Asks for a sign of life. Without one in time, the connection is lost. */
  async ping(timeoutMillis: number): Promise<void> {
    const error = await this.exchange(PING, timeoutMillis)
    // An SQL error is a sign of life too: a cancel request meant for the last borrower may have come late.
    if (error && !this.isLost && !(await this.synchronized(timeoutMillis))) this.lose(error)
  }

  /** Waits until the server has answered everything. False if the connection was lost meanwhile, or it took too long. */
  synchronized(timeoutMillis: number): Promise<boolean> {
    if (this.inSync) return Promise.resolve(true)
    const { connection } = this.#internals
    return new Promise((resolve) => {
      const settle = (): void => {
        cancelPatience()
        cancelLook()
        connection.off('readyForQuery', look)
        connection.off('end', settle)
        resolve(this.inSync && !this.isLost)
      }
      const look = (): void => {
        if (this.inSync) settle()
      }
      const { clock } = this.#settings
      const cancelPatience = afterPatience(clock, timeoutMillis, 'nothing', settle)
      // A statement that the driver itself refused is over without a word of the server.
      const cancelLook = clock.afterPendingInput(look)
      connection.on('readyForQuery', look)
      connection.on('end', settle)
    })
  }

  /**
   * Says goodbye if the server listens, for `timeoutMillis` at most, and resolves when the socket is closed. Statements
   * that still run are lost, by this cause.
   */
  async close(timeoutMillis: number, cause: unknown): Promise<void> {
    if (!this.#loss && !this.inSync) this.#note(cause)
    this.move('closing')
    const { driver, clock } = this.#settings
    const isPolite = !this.isLost && this.inSync
    if (!this.#ended) await sayGoodbye(this.client, { driver, clock, isPolite, timeoutMillis })
    this.move('closed')
  }

  /** Ends the socket without a word. */
  destroy(): void {
    this.#internals.connection.stream.destroy()
  }

  refusal(): Error | undefined {
    if (this.#loss) return new ConnectionLostError(this.#loss, false)
    if (this.is('leased', 'opening')) return undefined
    return new ReleaseError('This client has been released to the pool: it may not be used any more.')
  }

  begin(text: string | undefined): Statement {
    if (this.#internals.readyForQuery) this.#statements.settle()
    return this.#statements.begin(text, this.signs.mark)
  }

  end(statement: Statement, how: 'answered' | 'failed'): void {
    this.#statements.end(statement, how, !this.isLost)
    this.#hasWorked = true
    if (!this.isLost) this.signs.answered(this.#settings.clock.now(), statement.mark)
  }

  explain(error: Error, statement: Statement): Error {
    return this.#loss ? new ConnectionLostError(this.#loss, statement.sent) : error
  }

  limit(timeoutMillis: number | undefined): Cancel | undefined {
    const limit = timeoutMillis || this.#settings.queryTimeoutMillis
    if (limit === Number.POSITIVE_INFINITY) return undefined
    // Slow or dead? The others are asked before they are lent again.
    return afterPatience(this.#settings.clock, limit, 'process', () =>
      this.lose(new Error('Query read timeout'), 'suspect'),
    )
  }

  endedByBorrower(): void {
    this.lose(new Error('The client was ended by its borrower'), 'own')
  }

  #note(cause: unknown): Loss {
    const isInUse = this.is('opening', 'leased', 'resetting')
    const underWay = isInUse ? this.#statements.sentTexts() : []
    const phase = isInUse ? phaseOfLoss(this.transactionStatus, underWay) : 'idle'
    this.#loss = { cause, phase, commitOutcome: outcomeOfLoss(phase, isInUse && this.#hasWorked) }
    return this.#loss
  }

  #listen(): void {
    const { connection } = this.#internals
    // Before the driver's own listener, so that a statement which fails of FATAL is already known to be lost.
    connection.prependListener('errorMessage', (error: Error) => {
      if (endsSession(error)) this.lose(error)
    })
    // Without a listener of ours a loss would end the process.
    ;(this.client as Client).on('error', (error) => this.lose(error))
    connection.on('end', () => {
      this.#ended = true
    })
    this.client.on('end', () => this.lose(new Error('Connection terminated unexpectedly')))
  }
}

// The empty query: the cheapest thing that the server must answer.
const PING = ';'
