import { OptionsError } from '../errors.ts'
import { ACQUIRE_KEYS, type AcquireOptions, addAcquireProblems } from '../options/acquire-options.ts'
import { Problems, withoutUndefined } from '../options/check.ts'
import { checkGroupKeys } from '../options/check-keys.ts'
import { TRANSACTION_RETRY } from '../options/defaults.ts'
import { resolveRetry } from '../options/resolve-groups.ts'
import type { Retry } from '../options/resolved-options.ts'
import type { RetryOptions } from '../options/retry-options.ts'

/** How a transaction is run as a whole, whoever begins and ends it: how its connection is acquired, and when again. */
export interface RunOptions extends AcquireOptions {
  /**
   * When to run the whole transaction again, if it is certain that nothing of it was written. Its function may then run
   * several times, so what it does elsewhere must stand that; `false` runs it once.
   *
   * @default `{ retries: 3, minTimeout: 50, maxTimeout: 1000 }`
   */
  readonly retry?: boolean | RetryOptions | undefined
}

/** The options, checked and completed. */
export interface ResolvedRunOptions {
  readonly retry: Retry | false
  readonly acquire: AcquireOptions
}

/** Their names. */
export const RUN_KEYS: readonly string[] = [...ACQUIRE_KEYS, 'retry']

/** Completes what the user gave, and notes every problem; `of` is what he called. */
export function resolveRun(of: string, given: RunOptions, problems: Problems): ResolvedRunOptions {
  const { retry = true, ...acquire } = withoutUndefined(given)
  addAcquireProblems(of, acquire, problems)
  return { acquire, retry: resolveRetry(`${of}.retry`, retry, TRANSACTION_RETRY, problems) }
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
  const problems = new Problems()
  problems.group(of, given, '{ retry: false }')
  checkGroupKeys(of, withoutUndefined(given), RUN_KEYS, problems)
  const resolved = resolveRun(of, given, problems)
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return resolved
}
