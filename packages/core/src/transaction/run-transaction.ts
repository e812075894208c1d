import type { LeasedClient } from '../connection/client.ts'
import { ReleaseError, TransactionRolledBackError } from '../errors.ts'
import type { AcquireOptions } from '../options/acquire-options.ts'
import { DEFAULTS } from '../options/defaults.ts'
import { currentScope, outOfScope, scope } from '../runtime/scope.ts'
import { beginStatement } from './begin.ts'
import { requireFunction, Transaction, type TransactionFunction } from './transaction.ts'
import {
  type ResolvedTransactionOptions,
  resolveTransactionOptions,
  type TransactionOptions,
} from './transaction-options.ts'
import { Work } from './work.ts'

/** Where a transaction gets its connection. */
export interface TransactionSource {
  /** Without options where there are none: who overrides it may know but pg's callback. */
  connect(options?: AcquireOptions): Promise<LeasedClient>
}

/**
 * Runs `fn` in a transaction on a connection of its own: committed when it resolves, rolled back when it rejects, and
 * with its error. The connection is given back in any case.
 *
 * @throws What `fn` throws.
 * @throws {TransactionRolledBackError} when `fn` swallowed the error of a statement: nothing was written.
 * @throws {ConnectionLostError} when the connection died: `commitOutcome` tells whether anything may be written.
 * @throws {ReleaseError} when `fn` left a savepoint, a cursor or a stream open: nothing was written.
 * @throws {OptionsError} that names every option that can't work.
 * @throws The reason of `signal`, if that was aborted before COMMIT was sent: nothing was written.
 * @throws What `connect()` throws.
 */
export async function runTransaction<Result>(
  source: TransactionSource,
  fn: TransactionFunction<Result>,
  options: TransactionOptions = {},
  /** How long ROLLBACK may take, in milliseconds; then its connection is destroyed. */
  rollbackMillis: number = DEFAULTS.closeTimeoutMillis,
): Promise<Result> {
  requireFunction(fn, 'transaction(fn, options)')
  return runAttempt(source, fn, resolveTransactionOptions(options), rollbackMillis, 1)
}

async function runAttempt<Result>(
  source: TransactionSource,
  fn: TransactionFunction<Result>,
  { modes, acquire }: ResolvedTransactionOptions,
  rollbackMillis: number,
  attempt: number,
): Promise<Result> {
  const signal = acquire.signal ?? currentScope()?.signal
  signal?.throwIfAborted()
  const client = await (Object.keys(acquire).length > 0 ? source.connect(acquire) : source.connect())
  const work = new Work(client)
  let result: Result
  try {
    await client.query(beginStatement(modes))
  } catch (error) {
    client.release() // Nothing has begun that could be rolled back.
    throw error
  }
  try {
    signal?.throwIfAborted()
    const run = (): Promise<Result> => Transaction.run(new Transaction(work, attempt), fn)
    // What it runs is cancelled with it.
    result = await (acquire.signal ? scope({ signal: acquire.signal }, run) : run())
    signal?.throwIfAborted()
  } catch (error) {
    client.release(await rollBack(client, work, rollbackMillis))
    throw error
  }
  try {
    await commit(client, work)
  } finally {
    client.release()
  }
  return result
}

/**
 * Queued behind whatever `fn` left running: nothing of it runs on outside of the transaction. That COMMIT was answered
 * with ROLLBACK the client knows as well, but not which error was swallowed.
 */
async function commit(client: LeasedClient, work: Work): Promise<void> {
  const answer = await toTheEnd(() => client.query('COMMIT')).catch((error: unknown) => {
    if (!(error instanceof TransactionRolledBackError)) throw error
  })
  if (!answer || answer.command === 'ROLLBACK') throw new TransactionRolledBackError(work.failure)
}

/** Rolls back, and returns why the connection must be discarded, if it must: the first error is the one worth telling. */
async function rollBack(client: LeasedClient, work: Work, timeoutMillis: number): Promise<Error | undefined> {
  // Would wait for its reader, who is gone. Closing the connection rolls back as well.
  if (work.isHeldOpen) return new ReleaseError('A cursor or stream was still open when the transaction failed')
  const rollback = { text: 'ROLLBACK', query_timeout: Math.max(1, timeoutMillis) }
  return toTheEnd(() => client.query(rollback)).then(
    () => undefined,
    (error: Error) => error,
  )
}

/** Once sent it isn't given up, whatever the signal of a scope says: nobody would know what became of the work. */
function toTheEnd<Result>(send: () => Result): Result {
  return outOfScope(send)
}
