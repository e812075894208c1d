import { OptionsError, type RunOptions, runTransaction, type TransactionWork } from '@holdfast/core'
import { type Transaction, TransactionBuilder } from 'kysely'
import { HoldfastAdapter } from './dialect.ts'

/** A transaction of Kysely's that is run again when it is certain that nothing of it was written. */
export interface RetryableTransaction<DB> {
  /**
   * Runs `fn` in a transaction, as Kysely's own `execute` does; again, as a whole, in each attempt, whose number it is told.
   * What it does elsewhere must stand that.
   *
   * @throws What the last attempt threw.
   * @throws The reason of `signal`, if that was aborted before COMMIT was sent: nothing was written.
   * @throws {OptionsError} that names every option that can't work; or when the database has another dialect.
   */
  execute<Result>(fn: TransactionWork<Transaction<DB>, Result>): Promise<Result>
}

/**
 * Has a transaction run again as a whole when that is safe: lost before COMMIT was sent, a serialization failure, a
 * deadlock. `options` are `retry` (default: 3 retries; `false` runs it once), `signal`, and how to acquire its connection.
 *
 * @example
 * ```ts
 * await withRetry(db.transaction()).execute((trx, { attempt }) => trx.insertInto('entry').values({ attempt }).execute())
 * ```
 *
 * @throws {OptionsError} for what isn't the builder that `db.transaction()` returns.
 */
export function withRetry<DB>(builder: TransactionBuilder<DB>, options: RunOptions = {}): RetryableTransaction<DB> {
  if (!(builder instanceof TransactionBuilder))
    throw new OptionsError(['`withRetry` takes what `db.transaction()` returns; `startTransaction()` has no function.'])
  return {
    execute: (fn) => runTransaction((work) => builder.execute((trx) => work(requireHoldfast(trx))), fn, options),
  }
}

/** Of another pool nobody would know whether COMMIT was sent. */
function requireHoldfast<DB>(trx: Transaction<DB>): Transaction<DB> {
  if (trx.getExecutor().adapter instanceof HoldfastAdapter) return trx
  throw new OptionsError(['`withRetry` needs a database whose dialect is a `HoldfastDialect`.'])
}
