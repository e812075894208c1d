import type { QueryConfig, QueryResult } from 'pg'
import { queryEnclosed } from '../connection/leased-client-factory.ts'
import type { LeasedClient } from '../connection/physical-client.ts'
import { TransactionRolledBackError, TransactionStateError } from '../errors.ts'
import type { AcquireOptions } from '../options/call-options.ts'
import { OPTIONS } from '../options/option-table.ts'
import { currentScope } from '../runtime/pool-options-scope.ts'
import { isInstance } from '../thrown.ts'
import { originOfTransaction, runResolved, type Transact } from './run-transaction.ts'
import { Transaction, type TransactionFunction } from './transaction.ts'
import {
  beginStatement,
  type RunOptions,
  requireFunction,
  resolveTransactionOptions,
  type TransactionModes,
  type TransactionOptions,
} from './transaction-options.ts'
import { TransactionState } from './transaction-state.ts'

/** Where a transaction gets its connection. */
export interface TransactionSource {
  /** Called without options, which the scope has: an override of it may expect no argument but pg's callback. */
  connect(options?: AcquireOptions): Promise<LeasedClient>
}

/** Runs `fn` in a transaction on a connection of its own: see `Pool.transaction`. */
export async function transactionOn<Result>(
  source: TransactionSource,
  fn: TransactionFunction<Result>,
  options: TransactionOptions = {},
  /** How long ROLLBACK may take, in milliseconds. After that its connection is destroyed. */
  rollbackMillis: number = OPTIONS.closeTimeoutMillis.default,
): Promise<Result> {
  requireFunction(fn, 'transaction(fn, options)')
  const { modes, run } = resolveTransactionOptions(options)
  const transact: Transact<Transaction, Result> = (each, attempt) =>
    runOnce(source, modes, rollbackMillis, each, attempt)
  return await runResolved(transact, fn, run, originOfTransaction())
}

/** How it runs without a signal. */
const STATEMENT_RUN = resolveTransactionOptions({}).run

/**
 * Runs one statement in a transaction of its own, in two round trips: see `EnclosedRun`. Where that isn't possible, BEGIN,
 * the statement and COMMIT are sent one after the other.
 */
export async function statementOn(
  source: TransactionSource,
  statement: QueryConfig,
  options: Pick<RunOptions, 'signal'>,
  rollbackMillis: number,
): Promise<QueryResult> {
  const run = options.signal ? resolveTransactionOptions(options).run : STATEMENT_RUN
  const transact: Transact<Transaction, QueryResult> = async (fn, attempt) => {
    currentScope()?.attempt?.hideClient()
    const client = await source.connect()
    const enclosed = queryEnclosed(client, statement, 'commit')
    if (!enclosed) return await runOn(client, {}, rollbackMillis, fn, attempt)
    try {
      return await enclosed
    } finally {
      client.release()
    }
  }
  // No code of the application runs in it, which could ask for another transaction.
  return await runResolved(transact, (tx: Transaction) => tx.query(statement), run, undefined)
}

/** One attempt: BEGIN, the function, COMMIT or ROLLBACK. */
async function runOnce<Result>(
  source: TransactionSource,
  modes: TransactionModes,
  rollbackMillis: number,
  fn: TransactionFunction<Result>,
  attempt: number,
): Promise<Result> {
  currentScope()?.attempt?.hideClient()
  return await runOn(await source.connect(), modes, rollbackMillis, fn, attempt)
}

/** The same on this client, which is released at the end. */
async function runOn<Result>(
  client: LeasedClient,
  modes: TransactionModes,
  rollbackMillis: number,
  fn: TransactionFunction<Result>,
  attempt: number,
): Promise<Result> {
  const state = new TransactionState(client)
  let result: Result
  try {
    await client.query(beginStatement(modes))
  } catch (error) {
    client.release() // There is nothing to roll back.
    throw error
  }
  try {
    result = await Transaction.run(new Transaction(state, attempt), fn)
    currentScope()?.signal?.throwIfAborted()
  } catch (error) {
    client.release(await rollBack(client, state, rollbackMillis))
    throw error
  }
  try {
    await commit(client, state)
  } finally {
    client.release()
  }
  return result
}

/**
 * Commits, behind every statement that `fn` did not await: nothing of it runs outside of the transaction. The client also
 * notices when COMMIT is answered with ROLLBACK, but only the state knows which error `fn` has caught.
 */
async function commit(client: LeasedClient, state: TransactionState): Promise<void> {
  const answer = await client.query('COMMIT').catch((error: unknown) => {
    if (!isInstance(error, TransactionRolledBackError)) throw error
  })
  if (!answer || answer.command === 'ROLLBACK') throw new TransactionRolledBackError(state.failure)
}

/** Rolls back. Returns why the connection must be discarded, if it must. The caller gets the error of the function. */
async function rollBack(
  client: LeasedClient,
  state: TransactionState,
  timeoutMillis: number,
): Promise<Error | undefined> {
  // ROLLBACK would wait until the cursor is read to its end. Closing the connection rolls back as well.
  if (state.hasOpenReader)
    return new TransactionStateError('A cursor or stream was still open when the transaction failed')
  const rollback = { text: 'ROLLBACK', query_timeout: Math.max(1, timeoutMillis) }
  return client.query(rollback).then(
    () => undefined,
    (error: Error) => error,
  )
}
