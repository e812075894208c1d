import { OptionsError } from '../errors.ts'
import { ACQUIRE_KEYS, type AcquireOptions, addAcquireProblems } from '../options/call-options.ts'
import { checkGroupKeys, checkHook, Problems, readOptions, withoutUndefined } from '../options/check.ts'
import { TRANSACTION_RETRY } from '../options/option-table.ts'
import type { RetryOptions } from '../options/pool-options.ts'
import { type Retry, resolveRetry } from '../options/read-values.ts'

/** How a transaction runs as a whole, in a pool or an ORM: how its connection is acquired, and when it is tried again. */
export interface RunOptions extends AcquireOptions {
  /**
   * When to run the whole transaction again, if it is certain that nothing was written. Its function may then run several
   * times, so whatever else it does must be safe to repeat. `false` runs it once.
   *
   * @default `{ retries: 3, minTimeout: 50, maxTimeout: 1000 }`
   */
  readonly retry?: boolean | RetryOptions | undefined
  /**
   * How long all attempts may take together, including pauses and waits for a connection, in milliseconds. After that the
   * running statement is cancelled, and the transaction is rolled back and rejects with a `TransactionTimeoutError`. A
   * COMMIT that was sent is not given up. 0 is no limit.
   *
   * @default 0
   */
  readonly timeoutMillis?: number | undefined
  /** Called before each pause. If it throws, there are no more attempts. */
  readonly onRetry?: ((retry: RetryInfo) => void) | undefined
}

/** What `onRetry` is called with. */
export interface RetryInfo {
  /** Which attempt failed, from 1. */
  readonly attempt: number
  /** Why it failed. */
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

/** The names of the options. */
export const RUN_KEYS: readonly string[] = [...ACQUIRE_KEYS, 'retry', 'timeoutMillis', 'onRetry']

/** Completes the given options, and adds every problem to `problems`; `of` names what they were given to. */
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
 * For adapters: checks options that are given long before they are used; `of` names what they were given to.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function checkRunOptions(of: string, options: RunOptions): void {
  resolveRunOptions(of, options)
}

/**
 * Checks and completes the given options; `of` names what they were given to.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveRunOptions(of: string, given: RunOptions): ResolvedRunOptions {
  return readOptions(of, () => resolveRunGroup(of, given))
}

function resolveRunGroup(of: string, given: RunOptions): ResolvedRunOptions {
  const problems = new Problems()
  problems.group(of, given, '{ retry: false }')
  checkGroupKeys(of, withoutUndefined(given), RUN_KEYS, problems)
  const resolved = resolveRun(of, given, problems)
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return resolved
}

/** @throws {TypeError} that names the caller's function, if `fn` is no function. */
export function requireFunction(fn: unknown, of: string): void {
  if (typeof fn !== 'function') throw new TypeError(`${of}: \`fn\` must be a function, got ${typeof fn}`)
}

const ISOLATION_LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const
const ACCESS_MODES = ['read only', 'read write'] as const

/** What a transaction sees of the transactions that run at the same time. */
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number]

/** Whether a transaction may write. */
export type AccessMode = (typeof ACCESS_MODES)[number]

/**
 * How a transaction runs. A mode that is absent is that of the session (`default_transaction_isolation` and the like).
 *
 * @see https://www.postgresql.org/docs/current/sql-set-transaction.html
 */
export interface TransactionOptions extends RunOptions {
  /** What it sees of other transactions. Also in capitals, as TypeORM writes it. @default the session's: 'read committed' */
  readonly isolationLevel?: IsolationLevel | Uppercase<IsolationLevel> | undefined
  /** With `'read only'` the server refuses every write. @default the session's: 'read write' */
  readonly accessMode?: AccessMode | undefined
  /**
   * Waits at the start until the transaction can't fail to serialize. Has an effect only together with `'serializable'` and
   * `'read only'`: for a long report while others write.
   *
   * @default the session's: false
   */
  readonly deferrable?: boolean | undefined
}

/** The options for BEGIN. */
export interface TransactionModes {
  readonly isolationLevel?: IsolationLevel
  readonly accessMode?: AccessMode
  readonly deferrable?: boolean
}

/** The options, checked: those for BEGIN, and those for running the attempts. */
export interface ResolvedTransactionOptions {
  readonly modes: TransactionModes
  readonly run: ResolvedRunOptions
}

const MODE_KEYS: Record<keyof TransactionModes, true> = { isolationLevel: true, accessMode: true, deferrable: true }
const KEYS = [...Object.keys(MODE_KEYS), ...RUN_KEYS]

/**
 * Checks and completes the given options.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveTransactionOptions(given: TransactionOptions): ResolvedTransactionOptions {
  return readOptions('transaction', () => resolveTransactionGroup(given))
}

function resolveTransactionGroup(given: TransactionOptions): ResolvedTransactionOptions {
  const problems = new Problems()
  problems.group('transaction', given, "{ isolationLevel: 'serializable' }")
  const { isolationLevel, accessMode, deferrable, ...rest } = withoutUndefined(given)
  checkGroupKeys('transaction', withoutUndefined(given), KEYS, problems)
  const modes = {
    ...(isolationLevel !== undefined && { isolationLevel: inLowerCase<IsolationLevel>(isolationLevel) }),
    ...(accessMode !== undefined && { accessMode: inLowerCase(accessMode) }),
    ...(deferrable !== undefined && { deferrable }),
  }
  if ('isolationLevel' in modes) problems.oneOf('transaction.isolationLevel', modes.isolationLevel, ISOLATION_LEVELS)
  if ('accessMode' in modes) problems.oneOf('transaction.accessMode', modes.accessMode, ACCESS_MODES)
  if ('deferrable' in modes) problems.oneOf('transaction.deferrable', modes.deferrable, [true, false])
  const run = resolveRun('transaction', rest, problems)
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return { modes, run }
}

function inLowerCase<Word extends string>(word: Word | Uppercase<Word>): Word {
  return (typeof word === 'string' ? word.toLowerCase() : word) as Word
}

/** The statement that begins a transaction in these modes: one round trip for all of them. */
export function beginStatement({ isolationLevel, accessMode, deferrable }: TransactionModes): string {
  const modes: string[] = []
  if (isolationLevel !== undefined) modes.push(`ISOLATION LEVEL ${isolationLevel}`)
  if (accessMode !== undefined) modes.push(accessMode)
  if (deferrable !== undefined) modes.push(deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE')
  return `BEGIN ${modes.join(', ')}`.trimEnd().toUpperCase()
}
