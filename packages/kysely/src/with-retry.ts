import { OptionsError, type RunOptions, runTransaction, type TransactionWork } from '@holdfast/core'
import { type Transaction, TransactionBuilder } from 'kysely'
import { HoldfastAdapter } from './dialect.ts'

/** A transaction of Kysely's that runs again when it is certain that nothing of it was written. */
export interface RetryableTransaction<DB> {
  /**
   * Runs `fn` in a transaction, as Kysely's own `execute` does. Runs it again, as a whole, in each further attempt, and tells it
   * the attempt's number. So effects of `fn` outside of the database may happen several times.
   *
   * @throws What the last attempt threw.
   * @throws The reason of `signal`, if that was aborted before COMMIT was sent: nothing was written.
   * @throws {OptionsError} that names every option that can't work; or when the database has another dialect.
   */
  execute<Result>(fn: TransactionWork<Transaction<DB>, Result>): Promise<Result>
}

/**
 * Makes a transaction run again as a whole when that is safe: after a connection that was lost before COMMIT was sent, a
 * serialization failure, or a deadlock. `options` are `retry` (default: 3 retries; `false` runs it once), `signal`, and how to
 * acquire its connection.
 *
 * @example
 * ```ts
 * await withRetry(db.transaction()).execute((trx, { attempt }) => trx.insertInto('entry').values({ attempt }).execute())
 * ```
 *
 * @throws {OptionsError} for anything but the builder that `db.transaction()` returns.
 */
export function withRetry<DB>(builder: TransactionBuilder<DB>, options: RunOptions = {}): RetryableTransaction<DB> {
  if (!(builder instanceof TransactionBuilder))
    throw new OptionsError(['`withRetry` takes what `db.transaction()` returns; `startTransaction()` has no function.'])
  return {
    execute: (fn) => runTransaction((run) => builder.execute((trx) => run(requireHoldfast(trx))), fn, options),
  }
}

/** Only Holdfast's clients note that COMMIT was sent. On another pool the function might run again after it. */
function requireHoldfast<DB>(trx: Transaction<DB>): Transaction<DB> {
  if (trx.getExecutor().adapter instanceof HoldfastAdapter) return trx
  throw new OptionsError(['`withRetry` needs a database whose dialect is a `HoldfastDialect`.'])
}
