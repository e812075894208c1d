import type { DescribedQuery, DriverQuery } from './internals.ts'

/** What goes around a statement, in the same write and under the same Sync. */
export interface Enclosure {
  /** BEGIN, with its modes. If the server refuses it, it skips everything up to Sync: the statement never runs by itself. */
  readonly begin: string
  /** Goes behind the statement: a probe, or COMMIT. It is skipped if the statement fails. */
  readonly behind: DriverQuery | undefined
  /** Called when the server comes to the statement, and to what is behind it: what it says from then on concerns that. */
  readonly onNext?: (() => void) | undefined
}

/** The driver's own statement, as far as it receives the answers of the server. */
interface ReceivingQuery extends DriverQuery, Omit<DescribedQuery, 'callback'> {
  readonly name?: string | undefined
  queryMode?: string
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: unknown): void
  handleEmptyQuery(connection: unknown): void
  handlePortalSuspended(connection: unknown): void
  handleCopyInResponse(connection: unknown): void
  handleCopyData(message: unknown, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

/** The driver's protocol layer, as a statement writes to it. */
interface Wire {
  readonly stream: { cork?(): void; uncork?(): void }
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements?: Record<string, string>
  parse(statement: object): void
  bind(config: object): void
  describe(what: object): void
  execute(config: object): void
  close(what: object): void
  flush(): void
  sync(): void
}

/**
 * The protocol layer for the statements of one write: begins the transaction before the first message, and sends no Sync. A
 * class with all that the driver uses: an object that inherits from the connection would slow down each use of that.
 */
class EnclosedWire implements Wire {
  readonly stream: Wire['stream']
  readonly parsedStatements: Wire['parsedStatements']
  readonly submittedNamedStatements: NonNullable<Wire['submittedNamedStatements']>
  /** The driver closes a statement whose values it can't convert. It has told the caller by then. */
  isRefused = false
  readonly #wire: Wire
  readonly #begin: string
  #isBegun = false

  constructor(wire: Wire, begin: string) {
    this.stream = wire.stream
    this.parsedStatements = wire.parsedStatements
    this.submittedNamedStatements = wire.submittedNamedStatements ?? {}
    this.#wire = wire
    this.#begin = begin
  }

  parse(statement: object): void {
    this.#beginOnce()
    this.#wire.parse(statement)
  }

  bind(config: object): void {
    this.#beginOnce()
    this.#wire.bind(config)
  }

  describe(what: object): void {
    this.#wire.describe(what)
  }

  execute(config: object): void {
    this.#wire.execute(config)
  }

  close(what: object): void {
    this.isRefused = true
    this.#wire.close(what)
  }

  flush(): void {
    this.#wire.flush()
  }

  sync(): void {}

  #beginOnce(): void {
    if (this.#isBegun) return
    this.#isBegun = true
    this.#wire.parse({ text: this.#begin })
    this.#wire.bind({})
    this.#wire.execute({})
  }
}

/**
 * A statement of the driver's in a transaction that is begun in the same write. Everything goes under one Sync, in the
 * protocol that takes values, so the server answers with one ReadyForQuery. It takes the place of the driver's statement in
 * the queue, and passes on to it what the server says of it: the result is the driver's own.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
export class EnclosedQuery implements DriverQuery {
  /** The driver notes the name with the text when the server has parsed a statement. So each has its turn. */
  name: string | undefined = undefined
  text: string | undefined
  queryMode = 'extended'
  readonly #query: ReceivingQuery
  readonly #enclosure: Enclosure
  readonly #behind: ReceivingQuery | undefined
  /** What the server answers now. */
  #part: 'begin' | 'statement' | 'behind' = 'begin'
  #hasFailed = false

  constructor(query: DriverQuery, enclosure: Enclosure) {
    this.#query = query as ReceivingQuery
    this.#enclosure = enclosure
    this.#behind = enclosure.behind as ReceivingQuery | undefined
    this.text = this.#query.text
    if (this.#behind) this.#behind.queryMode = 'extended'
  }

  /** The driver's own statement. */
  get statement(): DriverQuery {
    return this.#query
  }

  /** Whether the server has begun the transaction. */
  get isBegun(): boolean {
    return this.#part !== 'begin'
  }

  /** Whether the server has carried out the statement, and has come to what is behind it. */
  get isExecuted(): boolean {
    return this.#part === 'behind'
  }

  submit(connection: unknown): Error | null {
    const wire = connection as Wire
    wire.stream.cork?.()
    try {
      const inner = new EnclosedWire(wire, this.#enclosure.begin)
      this.#query.queryMode = 'extended'
      const problem = this.#query.submit(inner)
      if (problem) return problem // The driver has refused it, and nothing was written.
      this.#hasFailed = inner.isRefused
      if (!inner.isRefused) this.#behind?.submit(inner)
      wire.sync()
      return null
    } finally {
      wire.stream.uncork?.()
    }
  }

  handleRowDescription(message: Parameters<DescribedQuery['handleRowDescription']>[0]): void {
    const current = this.#current
    try {
      current.handleRowDescription(message)
    } catch (error) {
      // A type parser of the user's has thrown. The driver rejects the statement with it when the server is ready again.
      current._canceledDueToError = error || new Error('A type parser has thrown nothing')
    }
  }

  handleDataRow(message: unknown): void {
    this.#current.handleDataRow(message)
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    if (this.#part === 'begin') return this.#begun()
    this.#current.handleCommandComplete(message, connection)
    this.#executed()
  }

  handleEmptyQuery(connection: unknown): void {
    this.#current.handleEmptyQuery(connection)
    this.#executed()
  }

  handlePortalSuspended(connection: unknown): void {
    this.#current.handlePortalSuspended(connection)
  }

  handleCopyInResponse(connection: unknown): void {
    this.#current.handleCopyInResponse(connection)
  }

  handleCopyData(message: unknown, connection: unknown): void {
    this.#current.handleCopyData(message, connection)
  }

  handleError(error: Error, connection: unknown): void {
    const { submittedNamedStatements: submitted } = connection as Partial<Wire>
    // The server may have skipped their Parse.
    for (const each of [this.#query, this.#behind]) if (each?.name) delete submitted?.[each.name]
    this.#hasFailed = true
    if (this.#part === 'behind') this.#behind?.handleError(error, connection)
    this.#query.handleError(error, connection)
  }

  handleReadyForQuery(connection: unknown): void {
    if (this.#hasFailed) return
    this.#behind?.handleReadyForQuery(connection)
    this.#query.handleReadyForQuery(connection)
  }

  get #current(): ReceivingQuery {
    return this.#part === 'behind' ? (this.#behind ?? this.#query) : this.#query
  }

  #begun(): void {
    this.#part = 'statement'
    this.name = this.#query.name
    this.#enclosure.onNext?.()
  }

  #executed(): void {
    if (this.#part === 'behind') return
    this.#part = 'behind'
    this.name = this.#behind?.name
    this.text = this.#behind?.text
    this.#enclosure.onNext?.()
  }
}
