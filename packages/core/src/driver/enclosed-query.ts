import type { DescribedQuery, DriverQuery } from './internals.ts'

/** What goes around a statement, in the same write and under the same Sync. */
export interface Enclosure {
  /** BEGIN, with its modes. If the server refuses it, it skips everything up to Sync: the statement never runs by itself. */
  readonly begin: string
  /** Goes behind the statement: a probe, or COMMIT. It is skipped if the statement fails. */
  readonly behind: DriverQuery | undefined
  /** Called when the server has begun the transaction: what it says from now on concerns the statement. */
  readonly onBegun?: (() => void) | undefined
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
  readonly submittedNamedStatements?: Record<string, string>
  parse(statement: object): void
  bind(config: object): void
  execute(config: object): void
  close(what: object): void
  sync(): void
}

/**
 * A statement of the driver's in a transaction that is begun in the same write. Everything goes under one Sync, in the
 * protocol that takes values, so the server answers with one ReadyForQuery. It takes the place of the driver's statement in
 * the queue, and passes on to it what the server says of it: the result is the driver's own.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
export class EnclosedQuery implements DriverQuery {
  /** The driver notes the name with the text when the server has parsed a statement. So it is hidden until it is the turn. */
  name: string | undefined = undefined
  readonly text: string | undefined
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
    this.#query.queryMode = 'extended'
    if (this.#behind) this.#behind.queryMode = 'extended'
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
      const inner = this.#withoutSync(wire)
      const problem = this.#query.submit(inner)
      if (problem) return problem // The driver has refused it, and nothing was written.
      if (!this.#hasFailed) this.#behind?.submit(inner)
      wire.sync()
      return null
    } finally {
      wire.stream.uncork?.()
    }
  }

  /** The protocol layer for the driver's statements: begins the transaction before the first message, and sends no Sync. */
  #withoutSync(wire: Wire): Wire {
    let isBegun = false
    const begin = (): void => {
      if (isBegun) return
      isBegun = true
      wire.parse({ text: this.#enclosure.begin })
      wire.bind({})
      wire.execute({})
    }
    const parse = (statement: object): void => {
      begin()
      wire.parse(statement)
    }
    const bind = (config: object): void => {
      begin()
      wire.bind(config)
    }
    // The driver closes a statement whose values it can't convert. It has told the caller by then.
    const close = (what: object): void => {
      this.#hasFailed = true
      wire.close(what)
    }
    const own = { parse, bind, close, sync: () => {} }
    return Object.create(
      wire,
      Object.fromEntries(Object.entries(own).map(([name, value]) => [name, { value }])),
    ) as Wire
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
    this.#part = 'behind'
  }

  handleEmptyQuery(connection: unknown): void {
    this.#current.handleEmptyQuery(connection)
    this.#part = 'behind'
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
    const { name } = this.#query
    // The server may have skipped its Parse.
    if (name) delete (connection as Partial<Wire>).submittedNamedStatements?.[name]
    this.#hasFailed = true
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
    this.#enclosure.onBegun?.()
  }
}
