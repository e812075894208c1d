import { mayCommit } from '../sql/statement.ts'

/** One statement, from the call to its end. */
export interface Statement {
  /** Undefined where only the driver knows it: a cursor, a stream. */
  readonly text: string | undefined
  /** Whether a byte of it could have reached the server. */
  sent: boolean
  /** See `Liveness.epoch`. */
  readonly livenessEpoch: number
  /** What the driver has in its queue, as long as it hasn't sent it. */
  queued: unknown
  /** Whether its caller no longer waits for it. */
  isGivenUp: boolean
}

/** The statements of a connection that have not ended, in the order in which the driver sends them. */
export class InFlight {
  readonly #pipelined: boolean
  readonly #statements: Statement[] = []
  /** A statement that failed, until the server says what became of its transaction (ReadyForQuery). */
  #failed: Statement | undefined

  constructor(pipelined: boolean) {
    this.#pipelined = pipelined
  }

  /** Adds a statement. The driver sends one at a time, unless it pipelines. */
  begin(text: string | undefined, livenessEpoch: number): Statement {
    const statement: Statement = {
      text,
      livenessEpoch,
      queued: undefined,
      sent: this.#pipelined || this.#statements.length === 0,
      isGivenUp: false,
    }
    this.#statements.push(statement)
    return statement
  }

  get isEmpty(): boolean {
    return this.#statements.length === 0
  }

  /** The one that the server executes, unless it executes a statement of the pool's own. */
  get first(): Statement | undefined {
    return this.#statements[0]
  }

  /** Whether the caller waits for the statement that the server executes. */
  isWanted(): boolean {
    return this.first?.isGivenUp === false
  }

  /** The driver will send the first statement once more. Returns what is to be called when it does. */
  requeued(query: object): () => void {
    const { first } = this
    if (first) first.queued = query
    return () => {
      if (first) first.queued = undefined
    }
  }

  /** Whether the server executes something that it may be told to stop: nothing that may be a COMMIT. */
  get mayBeStopped(): boolean {
    const sent = this.#statements.filter((each) => each.sent)
    return sent.length > 0 && !sent.some(({ text }) => text !== undefined && mayCommit(text))
  }

  /** Whether this one has not ended. */
  has(statement: Statement): boolean {
    return this.#statements.includes(statement)
  }

  /** The server is ready for the next statement: its transaction status takes the failed one into account. */
  forgetFailed(): void {
    this.#failed = undefined
  }

  /** Removes a statement that has ended. If the connection lives, the next one is being sent. */
  end(statement: Statement, how: 'answered' | 'failed', isAlive: boolean): void {
    if (isAlive) this.#failed = how === 'failed' ? statement : undefined
    const index = this.#statements.indexOf(statement)
    if (index !== -1) this.#statements.splice(index, 1)
    const next = this.#statements[0]
    if (next && isAlive && next.queued === undefined) next.sent = true
  }

  /** The texts of those that may have reached the server, and whose effect isn't known. */
  sentTexts(): (string | undefined)[] {
    const open = this.#failed ? [this.#failed, ...this.#statements] : this.#statements
    return open.filter(({ sent }) => sent).map(({ text }) => text)
  }
}
