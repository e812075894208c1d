import { HoldfastError, pinName } from './holdfast-error.ts'

/**
 * The transaction was not committed within `timeoutMillis`, all attempts together: its statement was cancelled, and it was
 * rolled back. `cause` is the error of the last attempt that failed, if one did.
 */
export class TransactionTimeoutError extends HoldfastError {
  /** The option `timeoutMillis`. */
  readonly timeoutMillis: number

  constructor(timeoutMillis: number) {
    super(
      'HOLDFAST_TRANSACTION_TIMEOUT',
      `The transaction was not committed within ${timeoutMillis} ms, and was rolled back`,
    )
    this.timeoutMillis = timeoutMillis
  }

  static {
    pinName(TransactionTimeoutError, 'TransactionTimeoutError')
  }
}

/**
 * A transaction or savepoint can't do this now: it was used after its end, or while a savepoint of it was open, or it ended
 * with a savepoint, a cursor or a stream still open. Await everything that its function starts, and use the `tx` that the
 * function is given.
 */
export class TransactionStateError extends HoldfastError {
  constructor(message: string) {
    super('HOLDFAST_TRANSACTION_STATE', message)
  }

  static {
    pinName(TransactionStateError, 'TransactionStateError')
  }
}

/**
 * COMMIT was answered with ROLLBACK: a statement of the transaction had failed, its error was caught, and nothing was
 * written. PostgreSQL reports no error for this, only another command tag. `cause` is the error that was caught, as far as
 * it is known.
 *
 * @see https://www.postgresql.org/docs/current/sql-commit.html
 */
export class TransactionRolledBackError extends HoldfastError {
  constructor(cause?: unknown) {
    super(
      '40000',
      'COMMIT was answered with ROLLBACK: an earlier statement had failed, and nothing was written',
      cause === undefined ? {} : { cause },
    )
  }

  static {
    pinName(TransactionRolledBackError, 'TransactionRolledBackError')
    // Tells Kysely that nothing is left to roll back; else Kysely would keep the connection.
    Object.defineProperty(TransactionRolledBackError.prototype, Symbol.for('kysely.AbortedTransactionError'), {
      value: true,
    })
  }
}
