import type { LeasedClient } from '../connection/physical-client.ts'
import { callbackOf, isSubmittable, type QueryArguments } from '../connection/query-arguments.ts'
import { HoldfastError } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import { codeOf, isError } from '../thrown.ts'

type Callback = (error: Error | null, result?: unknown) => void

/** A cursor, a stream, or pg's own `Query`: the driver submits it, and tells it what the server answers. */
interface Reader {
  callback?: unknown
  handleError(error: Error, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

const IN_FAILED_TRANSACTION = '25P02'
const INVALID_TERMINATION = '2D000'

/**
 * The state of one attempt at a transaction, shared by the transaction and its savepoints: sends their statements, and keeps
 * what decides at the end whether it can be committed.
 */
export class TransactionState {
  readonly #client: LeasedClient
  readonly #readers = new Set<Reader>()
  #failure: unknown
  #commitBlocker: Error | undefined
  #savepoints = 0

  constructor(client: LeasedClient) {
    this.#client = client
  }

  /** The SQL error by which the server has aborted the transaction, as far as it is known: the first since a success. */
  get failure(): unknown {
    return this.#failure
  }

  /** Why the transaction can't be committed, even if its function resolves. */
  get commitBlocker(): Error | undefined {
    return this.#commitBlocker
  }

  /** Whether a cursor or stream is unfinished: each statement behind it waits until it is read to its end. */
  get hasOpenReader(): boolean {
    return [...this.#readers].some((reader) => !isFinished(reader))
  }

  /** Notes that the transaction can't be committed. The first reason counts. */
  blockCommit(reason: Error): void {
    this.#commitBlocker ??= reason
  }

  /** A name that no other savepoint of this transaction has. */
  nextSavepoint(): string {
    return `holdfast_${++this.#savepoints}`
  }

  /** Sends a statement, in any of pg's forms. */
  send(...args: QueryArguments): unknown {
    const [first, second, third] = args
    if (isSubmittable<Reader>(first)) return this.#submit(first, args)
    const callback = callbackOf(first, second, third)
    // The driver refuses these with its own errors.
    if (first === null || first === undefined || (callback && typeof callback !== 'function'))
      return this.#query(...args)
    return callback ? this.#queryWithCallback(args, callback as Callback) : this.#queryWithPromise(args)
  }

  #queryWithCallback([first, second]: QueryArguments, callback: Callback): unknown {
    const values = typeof second === 'function' ? undefined : second
    return this.#query(first, values, (error: unknown, result: unknown) => {
      if (error) this.#failed(error)
      else this.#succeeded()
      callback(error as Error | null, result)
    })
  }

  /** With the arguments as they are: a `Client` class of the user's may not support callbacks. */
  async #queryWithPromise(args: QueryArguments): Promise<unknown> {
    try {
      const result = await this.#query(...args)
      this.#succeeded()
      return result
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  #submit(reader: Reader, args: QueryArguments): unknown {
    const { handleError, handleReadyForQuery } = reader
    this.#readers.add(reader)
    reader.handleError = (error, ...rest) => {
      this.#readers.delete(reader)
      this.#failed(error)
      handleError.call(reader, error, ...rest)
    }
    reader.handleReadyForQuery = (...rest) => {
      this.#readers.delete(reader)
      this.#succeeded()
      handleReadyForQuery.apply(reader, rest)
    }
    return this.#query(...args)
  }

  #query(...args: QueryArguments): unknown {
    return (this.#client.query as (...args: QueryArguments) => unknown)(...args)
  }

  /** In an aborted transaction only a statement succeeds that ends it, or returns to a savepoint. */
  #succeeded(): void {
    this.#failure = undefined
    if (this.#client.getTransactionStatus() === 'I')
      this.blockCommit(
        new HoldfastError(
          INVALID_TERMINATION,
          'The transaction was ended by a statement of its own function, not by it',
        ),
      )
  }

  #failed(error: unknown): void {
    // Only an error of the server aborts the transaction; not a value that can't be sent, or a query that was given up.
    if (!isError(error) || severityOf(error) === undefined) return
    if (this.#failure === undefined) this.#failure = error
    else if (codeOf(error) === IN_FAILED_TRANSACTION && error.cause === undefined)
      Object.defineProperty(error, 'cause', { value: this.#failure, configurable: true, writable: true })
  }
}

/** The public state of cursors (pg-cursor) and streams (pg-query-stream, pg-copy-streams). */
interface ReaderState {
  readonly close?: unknown
  readonly state?: unknown
  readonly destroy?: unknown
  readonly destroyed?: boolean
}

/** Whether statements behind a reader don't wait for it: pg's own `Query` ends by itself, others when they are closed. */
function isFinished({ close, state, destroy, destroyed }: Reader & ReaderState): boolean {
  if (typeof close !== 'function' && typeof destroy !== 'function') return true
  return destroyed === true || state === 'done'
}

/** Refuses a query in the form in which pg would fail it: by a rejection, the callback, or the reader. Nothing is sent. */
export function refuse(refusal: Error, [first, second, third]: QueryArguments): unknown {
  const callback = callbackOf(first, second, third)
  if (isSubmittable<Reader>(first)) {
    if (typeof callback === 'function') first.callback ??= callback
    process.nextTick(() => first.handleError(refusal, undefined))
    return first
  }
  if (typeof callback !== 'function') return Promise.reject(refusal)
  process.nextTick(callback, refusal)
  return undefined
}
