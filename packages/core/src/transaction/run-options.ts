import { OptionsError } from '../errors.ts'
import { ACQUIRE_KEYS, type AcquireOptions, addAcquireProblems } from '../options/call-options.ts'
import { checkHook, Problems, readOptions, withoutUndefined } from '../options/check.ts'
import { checkGroupKeys } from '../options/check-keys.ts'
import { TRANSACTION_RETRY } from '../options/option-table.ts'
import type { RetryOptions } from '../options/pool-options.ts'
import { type Retry, resolveRetry } from '../options/read-values.ts'

/** How a transaction is run as a whole, whoever begins and ends it: how its connection is acquired, and when again. */
export interface RunOptions extends AcquireOptions {
  /**
   * When to run the whole transaction again, if it is certain that nothing of it was written. Its function may then run
   * several times, so what it does elsewhere must stand that; `false` runs it once.
   *
   * @default `{ retries: 3, minTimeout: 50, maxTimeout: 1000 }`
   */
  readonly retry?: boolean | RetryOptions | undefined
  /**
   * How long all attempts may take together, acquiring and pauses included, in milliseconds. Then the running statement is
   * cancelled, the transaction rolled back, and a `TransactionTimeoutError` told. A COMMIT that was sent isn't given up. 0
   * is no limit.
   *
   * @default 0
   */
  readonly timeoutMillis?: number | undefined
  /** Told before each pause. What it throws ends the attempts. */
  readonly onRetry?: ((retry: RetryInfo) => void) | undefined
}

/** What is told before a transaction is run again. */
export interface RetryInfo {
  /** Which attempt failed, from 1. */
  readonly attempt: number
  /** What of. */
  readonly error: Error
  /** How long until the next one, in milliseconds. */
  readonly delayMillis: number
}

/** The options, checked and completed. */
export interface ResolvedRunOptions {
  readonly retry: Retry | false
  readonly acquire: AcquireOptions
  /** `Infinity` for none. */
  readonly timeoutMillis: number
  readonly onRetry: ((retry: RetryInfo) => void) | undefined
}

/** Their names. */
export const RUN_KEYS: readonly string[] = [...ACQUIRE_KEYS, 'retry', 'timeoutMillis', 'onRetry']

/** Completes what the user gave, and notes every problem; `of` is what he called. */
export function resolveRun(of: string, given: RunOptions, problems: Problems): ResolvedRunOptions {
  const { retry = true, timeoutMillis = 0, onRetry, ...acquire } = withoutUndefined(given)
  addAcquireProblems(of, acquire, problems)
  problems.number(`${of}.timeoutMillis`, timeoutMillis, 0)
  checkHook(`${of}.onRetry`, onRetry, problems)
  return {
    acquire,
    retry: resolveRetry(`${of}.retry`, retry, TRANSACTION_RETRY, problems),
    timeoutMillis: timeoutMillis || Number.POSITIVE_INFINITY,
    onRetry,
  }
}

/**
 * For adapters: checks options that are given long before they are used; `of` is what they were given to.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function checkRunOptions(of: string, options: RunOptions): void {
  resolveRunOptions(of, options)
}

/**
 * Checks what the user gave; `of` is what he called.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveRunOptions(of: string, given: RunOptions): ResolvedRunOptions {
  return readOptions(of, () => resolve(of, given))
}

function resolve(of: string, given: RunOptions): ResolvedRunOptions {
  const problems = new Problems()
  problems.group(of, given, '{ retry: false }')
  checkGroupKeys(of, withoutUndefined(given), RUN_KEYS, problems)
  const resolved = resolveRun(of, given, problems)
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return resolved
}
