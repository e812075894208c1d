import type { DriverQuery, StatementDone } from './internals.ts'

/** The driver's protocol layer, as this question writes to it. */
interface Wire {
  readonly parsedStatements: Readonly<Record<string, string>>
  /** Names that are on their way. pg 8.21 has none. */
  readonly submittedNamedStatements?: Record<string, string>
  parse(statement: object): void
  bind(config: object): void
  execute(config: object): void
  sync(): void
}

/**
 * A question of the pool's own that is asked often. The server parses and plans it once per session, under its name, and
 * isn't asked to describe the answer, whose columns are known: that halves what a question costs. `use` must have been called
 * with it before it is sent.
 */
export class PreparedQuestion implements DriverQuery {
  /** The driver notes it, together with the text, when the server has parsed it. */
  name: string | undefined
  readonly text: string
  readonly callback: StatementDone
  readonly #columns: readonly string[]
  readonly #rows: Record<string, unknown>[] = []

  constructor(name: string, text: string, columns: readonly string[], done: StatementDone) {
    this.name = name
    this.text = text
    this.callback = done
    this.#columns = columns
  }

  submit(connection: unknown): null {
    const wire = connection as Wire
    const { name, text } = this
    const isParsed = name !== undefined && (wire.parsedStatements[name] ?? wire.submittedNamedStatements?.[name])
    if (!isParsed) {
      wire.parse({ name, text })
      if (name !== undefined && wire.submittedNamedStatements) wire.submittedNamedStatements[name] = text
    }
    wire.bind({ statement: name })
    wire.execute({})
    wire.sync()
    return null
  }

  handleDataRow({ fields }: { readonly fields: readonly unknown[] }): void {
    this.#rows.push(Object.fromEntries(this.#columns.map((column, index) => [column, fields[index]])))
  }

  handleReadyForQuery(): void {
    this.callback(null, { rows: this.#rows } as never)
  }

  handleError(error: Error): void {
    this.callback(error)
  }

  // A server that keeps to the protocol sends none of these, or nothing that matters.
  handleRowDescription(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
}
