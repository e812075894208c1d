import { mayCommit } from '../sql/statement.ts'

/** One statement of the holder, from the call to its end. */
export interface Statement {
  /** Undefined where the driver alone knows it: a cursor, a stream. */
  readonly text: string | undefined
  /** Whether a byte of it could have reached the server. */
  sent: boolean
  /** Which signs of life its answer will count for. */
  readonly mark: number
  /** What the driver keeps in its place as long as it hasn't sent it. */
  queued: unknown
  /** Whether its caller waits for it no longer. */
  isGivenUp: boolean
}

/** The holder's statements that have not ended, in the order in which the driver sends them. */
export class InFlight {
  readonly #pipelined: boolean
  readonly #underWay: Statement[] = []
  /** Failed, but the server has not yet said what became of its transaction (ReadyForQuery). */
  #failed: Statement | undefined

  constructor(pipelined: boolean) {
    this.#pipelined = pipelined
  }

  /** Enters a statement. The driver sends one at a time, unless it pipelines. */
  begin(text: string | undefined, mark: number): Statement {
    const statement: Statement = {
      text,
      mark,
      queued: undefined,
      sent: this.#pipelined || this.#underWay.length === 0,
      isGivenUp: false,
    }
    this.#underWay.push(statement)
    return statement
  }

  /** Whether none is under way. */
  get isEmpty(): boolean {
    return this.#underWay.length === 0
  }

  /** The one that the server works on, unless it works on a statement of the pool's own. */
  get first(): Statement | undefined {
    return this.#underWay[0]
  }

  /** Whether the caller waits for what the server works on. */
  isWanted(): boolean {
    return this.first?.isGivenUp === false
  }

  /** The driver is to send what the server works on once more. Returns what is to be called when it does. */
  requeued(query: object): () => void {
    const { first } = this
    if (first) first.queued = query
    return () => {
      if (first) first.queued = undefined
    }
  }

  /** Whether the server works on something that it can be told to stop: not on what may be a COMMIT. */
  get mayBeStopped(): boolean {
    const sent = this.#underWay.filter((each) => each.sent)
    return sent.length > 0 && !sent.some(({ text }) => text !== undefined && mayCommit(text))
  }

  /** Whether this one is still under way. */
  has(statement: Statement): boolean {
    return this.#underWay.includes(statement)
  }

  /** The server is ready for the next one: the transaction status is that after all that has ended. */
  settle(): void {
    this.#failed = undefined
  }

  /** Strikes a statement that has ended; the next one is on its way now, if the connection lives. */
  end(statement: Statement, how: 'answered' | 'failed', alive: boolean): void {
    if (alive) this.#failed = how === 'failed' ? statement : undefined
    const index = this.#underWay.indexOf(statement)
    if (index !== -1) this.#underWay.splice(index, 1)
    const next = this.#underWay[0]
    if (next && alive && next.queued === undefined) next.sent = true
  }

  /** The texts of those whose effect isn't known, and that may have reached the server. */
  sentTexts(): (string | undefined)[] {
    const open = this.#failed ? [this.#failed, ...this.#underWay] : this.#underWay
    return open.filter(({ sent }) => sent).map(({ text }) => text)
  }
}
