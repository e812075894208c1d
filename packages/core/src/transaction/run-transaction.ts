import pRetry, { type RetryContext } from 'p-retry'
import { PoolTimeoutError, TransactionTimeoutError } from '../errors.ts'
import type { AcquireOptions } from '../options/call-options.ts'
import { isCausedBy } from '../policy/classify-error.ts'
import { isRetryable } from '../policy/retry.ts'
import { abortReason, followSignal } from '../runtime/abort.ts'
import { systemClock } from '../runtime/clock.ts'
import { currentScope, runInScope } from '../runtime/pool-options-scope.ts'
import { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import { isError, isInstance } from '../thrown.ts'
import { type ResolvedRunOptions, type RunOptions, requireFunction, resolveRunOptions } from './transaction-options.ts'

/** What the function of a transaction is told of the attempt that calls it. */
export interface AttemptInfo {
  /** Which attempt at the whole transaction this is, from 1. */
  readonly attempt: number
}

/** The function of a transaction: called again in each attempt. */
export type TransactionWork<Tx, Result> = (tx: Tx, info: AttemptInfo) => Promise<Result> | Result

/**
 * Runs one attempt in an ORM's own way: begins, calls `fn` with what the ORM passes to its callbacks, and commits or rolls
 * back. Called once for each attempt, with its number.
 */
export type Transact<Tx, Result> = (fn: (tx: Tx) => Promise<Result>, attempt: number) => Promise<Result>

/**
 * Runs a transaction as a whole, and again when that is safe: `fn` never runs again while an earlier attempt may have
 * committed. An attempt is repeated when it was certainly rolled back: lost before COMMIT was sent, 40001 (serialization
 * failure), 40P01 (deadlock), or refused at the login (53300, 57P03). For adapters; with a `Pool` it is
 * `pool.transaction`.
 *
 * @example
 * ```ts
 * await runTransaction((fn) => orm.transaction(fn), async (tx, { attempt }) => tx.insert(order), { signal })
 * ```
 *
 * @throws What the last attempt threw.
 * @throws The reason of `signal`, if that was aborted before COMMIT was sent: nothing was written.
 * @throws {TransactionTimeoutError} when `timeoutMillis` passed before COMMIT was sent: nothing was written.
 * @throws {OptionsError} that names every option that can't work.
 */
export async function runTransaction<Tx, Result>(
  transact: Transact<Tx, Result>,
  fn: TransactionWork<Tx, Result>,
  options: RunOptions = {},
): Promise<Result> {
  requireFunction(fn, 'transaction')
  return await runResolved(transact, fn, resolveRunOptions('transaction', options), originOfTransaction())
}

/** Its stack shows who has asked for a transaction, for the error when another one is asked for in it, in vain. */
export function originOfTransaction(): Error {
  return new Error('The outer transaction was asked for here')
}

/** The same with options that have been checked. `origin`: see `originOfTransaction`. */
export function runResolved<Tx, Result>(
  transact: Transact<Tx, Result>,
  fn: TransactionWork<Tx, Result>,
  options: ResolvedRunOptions,
  origin: Error | undefined,
): Promise<Result> {
  const { timeoutMillis } = options
  if (timeoutMillis === Number.POSITIVE_INFINITY) return runAttempts(transact, fn, options, origin)
  const deadline = new AbortController()
  const cancel = systemClock.schedule(
    timeoutMillis,
    () => deadline.abort(new TransactionTimeoutError(timeoutMillis)),
    'process',
  )
  const given = options.acquire.signal ?? currentScope()?.signal
  const signal = given ? AbortSignal.any([given, deadline.signal]) : deadline.signal
  return runAttempts(transact, fn, { ...options, acquire: { ...options.acquire, signal } }, origin).finally(cancel)
}

async function runAttempts<Tx, Result>(
  transact: Transact<Tx, Result>,
  fn: TransactionWork<Tx, Result>,
  { retry, acquire, onRetry }: ResolvedRunOptions,
  origin: Error | undefined,
): Promise<Result> {
  const signal = acquire.signal ?? currentScope()?.signal
  // A final result or error does not pass through p-retry, which accepts only an Error as an error, and rejects with the
  // signal's reason even if the signal was aborted after a COMMIT.
  let end: (() => Result) | undefined
  const outer = currentScope()?.attempt
  let failed: { readonly attempt: TransactionAttempt; readonly error: Error; readonly at: number } | undefined
  const tryOnce = async (number: number): Promise<void> => {
    const attempt = new TransactionAttempt(number, outer, origin)
    if (failed) {
      const { attempt: last, error, at } = failed
      last.publishRetry({ attempt: number, error, pausedMillis: systemClock.now() - at })
    }
    try {
      const result = await runAttempt(attempt, transact, fn, acquire)
      end = () => result
    } catch (error) {
      if (mayRunAgain(error, attempt)) {
        failed = { attempt, error, at: systemClock.now() }
        throw error
      }
      end = () => {
        throw signal?.aborted && isCausedBy(error, signal.reason) ? abortReason(signal) : error
      }
    }
  }
  let lastFailure: Error | undefined
  const onFailedAttempt = ({ error, attemptNumber, retriesLeft, retryDelay }: RetryContext): void => {
    lastFailure = error
    if (retriesLeft > 0) onRetry?.({ attempt: attemptNumber, error, delayMillis: retryDelay })
  }
  const following = signal && followSignal(signal)
  const options = { ...(retry || { retries: 0 }), ...(following && { signal: following.signal }), onFailedAttempt }
  try {
    await pRetry(tryOnce, options)
  } catch (error) {
    if (end) return (end as () => Result)()
    if (isInstance(error, TransactionTimeoutError) && lastFailure) error.cause = lastFailure
    throw error
  } finally {
    following?.leave()
  }
  return (end as () => Result)()
}

/** Runs one attempt in a scope of its own, in which the ORM's `connect()` finds the options and the attempt. */
async function runAttempt<Tx, Result>(
  attempt: TransactionAttempt,
  transact: Transact<Tx, Result>,
  fn: TransactionWork<Tx, Result>,
  acquire: AcquireOptions,
): Promise<Result> {
  const outer = currentScope()
  const own = acquire.signal && { signal: attempt.follow(acquire.signal) }
  // The signal also applies to what `fn` does on other connections; the other options for acquiring don't.
  const inner = { ...outer, ...own, attempt }
  const runFunction = (tx: Tx): Promise<Result> => {
    attempt.startFunction()
    return runInScope(inner, async () => {
      try {
        return await fn(tx, { attempt: attempt.number })
      } finally {
        attempt.endFunction()
      }
    })
  }
  try {
    return await runInScope({ ...outer, ...acquire, ...own, attempt }, () => transact(runFunction, attempt.number))
  } finally {
    attempt.end()
  }
}

/** Whether to try again. Not after a wait for a connection until the deadline: no time is left. */
function mayRunAgain(error: unknown, attempt: TransactionAttempt): error is Error {
  if (attempt.mayHaveCommitted || !isError(error) || isInstance(error, PoolTimeoutError)) return false
  return isRetryable(error)
}
