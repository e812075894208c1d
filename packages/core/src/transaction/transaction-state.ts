import type { LeasedClient } from '../connection/physical-client.ts'
import { HoldfastError } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import { codeOf, isError } from '../thrown.ts'
import { type Callback, callbackOf, type QueryArguments, type Reader, readerOf } from './statement-call.ts'

const IN_FAILED_TRANSACTION = '25P02'
const INVALID_TERMINATION = '2D000'

/** What one attempt does on its connection: sends its statements, and remembers what must be known at its end. */
export class TransactionState {
  readonly #client: LeasedClient
  readonly #readers = new Set<Reader>()
  #failure: unknown
  #spoilt: Error | undefined
  #savepoints = 0

  constructor(client: LeasedClient) {
    this.#client = client
  }

  /** The SQL error that the transaction is aborted by, as far as it is known: the first since anything succeeded. */
  get failure(): unknown {
    return this.#failure
  }

  /** Why this work can't be committed any more, whatever its function makes of it. */
  get spoilt(): Error | undefined {
    return this.#spoilt
  }

  /** Whether a cursor or stream is unfinished: whatever is sent waits until its reader is done with it. */
  get isHeldOpen(): boolean {
    return [...this.#readers].some((reader) => !isFinished(reader))
  }

  /** Notes that this work can't be committed any more. The first reason counts. */
  spoil(reason: Error): void {
    this.#spoilt ??= reason
  }

  /** A name that no other savepoint of this work has. */
  nextSavepoint(): string {
    return `holdfast_${++this.#savepoints}`
  }

  /** Sends a statement, in whichever of pg's forms. */
  send(...call: QueryArguments): unknown {
    const reader = readerOf(call)
    if (reader) return this.#submit(reader, call)
    const callback = callbackOf(call)
    // Refused by the driver, in its own words.
    if (call[0] === null || call[0] === undefined || (callback && typeof callback !== 'function'))
      return this.#query(...call)
    return callback ? this.#call(call, callback) : this.#promise(call)
  }

  #call([first, second]: QueryArguments, callback: Callback): unknown {
    const values = typeof second === 'function' ? undefined : second
    return this.#query(first, values, (error: unknown, result: unknown) => {
      if (error) this.#failed(error)
      else this.#succeeded()
      callback(error as Error | null, result)
    })
  }

  /** In the form of the call: a `Client` of the user's own may know no callbacks. */
  async #promise(call: QueryArguments): Promise<unknown> {
    try {
      const result = await this.#query(...call)
      this.#succeeded()
      return result
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  #submit(reader: Reader, call: QueryArguments): unknown {
    const { handleError, handleReadyForQuery } = reader
    this.#readers.add(reader)
    reader.handleError = (error, ...rest) => {
      this.#readers.delete(reader)
      this.#failed(error)
      handleError.call(reader, error, ...rest)
    }
    reader.handleReadyForQuery = (...args) => {
      this.#readers.delete(reader)
      this.#succeeded()
      handleReadyForQuery.apply(reader, args)
    }
    return this.#query(...call)
  }

  #query(...call: QueryArguments): unknown {
    return (this.#client.query as (...args: QueryArguments) => unknown)(...call)
  }

  /** An aborted transaction lets nothing succeed but what ends it, or takes it back to a savepoint. */
  #succeeded(): void {
    this.#failure = undefined
    if (this.#client.getTransactionStatus() === 'I')
      this.spoil(
        new HoldfastError(
          INVALID_TERMINATION,
          'The transaction was ended by a statement of its own function, not by it',
        ),
      )
  }

  #failed(error: unknown): void {
    // What the server has not refused has aborted nothing: a value that can't be sent, a caller who gave up.
    if (!isError(error) || severityOf(error) === undefined) return
    if (this.#failure === undefined) this.#failure = error
    else if (codeOf(error) === IN_FAILED_TRANSACTION && error.cause === undefined)
      Object.defineProperty(error, 'cause', { value: this.#failure, configurable: true, writable: true })
  }
}

/** What cursors (pg-cursor) and streams (pg-query-stream, pg-copy-streams) tell of themselves. */
interface ReaderState {
  readonly close?: unknown
  readonly state?: unknown
  readonly destroy?: unknown
  readonly destroyed?: boolean
}

/** Pg's own `Query` finishes by itself; what has ended, or is being closed, makes way for what is sent behind it. */
function isFinished({ close, state, destroy, destroyed }: Reader & ReaderState): boolean {
  if (typeof close !== 'function' && typeof destroy !== 'function') return true
  return destroyed === true || state === 'done'
}
