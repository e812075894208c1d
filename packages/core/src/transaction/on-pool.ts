import type { LeasedClient } from '../connection/physical-client.ts'
import { TransactionRolledBackError, TransactionStateError } from '../errors.ts'
import type { AcquireOptions } from '../options/call-options.ts'
import { OPTIONS } from '../options/option-table.ts'
import { currentScope } from '../runtime/pool-options-scope.ts'
import { isInstance } from '../thrown.ts'
import { beginStatement } from './begin.ts'
import { requireFunction } from './require-function.ts'
import { runResolved } from './run-transaction.ts'
import { Transaction, type TransactionFunction } from './transaction.ts'
import { resolveTransactionOptions, type TransactionModes, type TransactionOptions } from './transaction-options.ts'
import { TransactionState } from './transaction-state.ts'

/** Where a transaction gets its connection. */
export interface TransactionSource {
  /** Without options, which the scope has: who overrides it may know but pg's callback. */
  connect(options?: AcquireOptions): Promise<LeasedClient>
}

/** Runs `fn` in a transaction on a connection of its own: see `Pool.transaction`. */
export async function transactionOn<Result>(
  source: TransactionSource,
  fn: TransactionFunction<Result>,
  options: TransactionOptions = {},
  /** How long ROLLBACK may take, in milliseconds; then its connection is destroyed. */
  rollbackMillis: number = OPTIONS.closeTimeoutMillis.default,
): Promise<Result> {
  requireFunction(fn, 'transaction(fn, options)')
  const { modes, run } = resolveTransactionOptions(options)
  return await runResolved((work, attempt) => transact(source, modes, rollbackMillis, work, attempt), fn, run)
}

async function transact<Result>(
  source: TransactionSource,
  modes: TransactionModes,
  rollbackMillis: number,
  fn: TransactionFunction<Result>,
  attempt: number,
): Promise<Result> {
  const client = await source.connect()
  const work = new TransactionState(client)
  let result: Result
  try {
    await client.query(beginStatement(modes))
  } catch (error) {
    client.release() // Nothing has begun that could be rolled back.
    throw error
  }
  try {
    result = await Transaction.run(new Transaction(work, attempt), fn)
    currentScope()?.signal?.throwIfAborted()
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
async function commit(client: LeasedClient, work: TransactionState): Promise<void> {
  const answer = await client.query('COMMIT').catch((error: unknown) => {
    if (!isInstance(error, TransactionRolledBackError)) throw error
  })
  if (!answer || answer.command === 'ROLLBACK') throw new TransactionRolledBackError(work.failure)
}

/** Rolls back, and returns why the connection must be discarded, if it must: the first error is the one worth telling. */
async function rollBack(
  client: LeasedClient,
  work: TransactionState,
  timeoutMillis: number,
): Promise<Error | undefined> {
  // Would wait for its reader, who is gone. Closing the connection rolls back as well.
  if (work.isHeldOpen) return new TransactionStateError('A cursor or stream was still open when the transaction failed')
  const rollback = { text: 'ROLLBACK', query_timeout: Math.max(1, timeoutMillis) }
  return client.query(rollback).then(
    () => undefined,
    (error: Error) => error,
  )
}
