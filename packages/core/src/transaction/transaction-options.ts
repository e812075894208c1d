import { OptionsError } from '../errors.ts'
import type { AcquireOptions } from '../options/acquire-options.ts'
import { Problems, withoutUndefined } from '../options/check.ts'
import { checkGroupKeys } from '../options/check-keys.ts'

const ISOLATION_LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const
const ACCESS_MODES = ['read only', 'read write'] as const

/** What a transaction may see of others that run beside it. */
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number]

/** Whether a transaction may write. */
export type AccessMode = (typeof ACCESS_MODES)[number]

/**
 * How a transaction runs, and how its connection is acquired. What is absent is as the session has it
 * (`default_transaction_isolation` and its kin).
 *
 * @see https://www.postgresql.org/docs/current/sql-set-transaction.html
 */
export interface TransactionOptions extends AcquireOptions {
  /** What it may see of others. In capitals, too, as TypeORM writes it. @default the session's: 'read committed' */
  readonly isolationLevel?: IsolationLevel | Uppercase<IsolationLevel> | undefined
  /** `'read only'` has the server refuse every write. @default the session's: 'read write' */
  readonly accessMode?: AccessMode | undefined
  /**
   * Wait at the start for a moment from which on it can't fail to serialize. Means something only together with
   * `'serializable'` and `'read only'`: for a long report beside busy writers.
   *
   * @default the session's: false
   */
  readonly deferrable?: boolean | undefined
}

/** What the options say to BEGIN. */
export interface TransactionModes {
  readonly isolationLevel?: IsolationLevel
  readonly accessMode?: AccessMode
  readonly deferrable?: boolean
}

/** The options, checked: a part for BEGIN, a part for `connect()`. */
export interface ResolvedTransactionOptions {
  readonly modes: TransactionModes
  readonly acquire: AcquireOptions
}

// Complete by its type: whatever becomes an option has to be entered here.
const KEYS: Record<keyof TransactionOptions, true> = {
  isolationLevel: true,
  accessMode: true,
  deferrable: true,
  signal: true,
  connectionTimeoutMillis: true,
  resetOnReturn: true,
}

/**
 * Checks what the user gave. What concerns the connection alone is checked by `connect()`, which gets it untouched.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveTransactionOptions(given: TransactionOptions): ResolvedTransactionOptions {
  const problems = new Problems()
  if (typeof given !== 'object' || given === null) {
    problems.add('options', "an object, such as { isolationLevel: 'serializable' }", given)
    throw new OptionsError(problems.found)
  }
  const { isolationLevel, accessMode, deferrable, ...acquire } = withoutUndefined(given)
  checkGroupKeys('transaction', withoutUndefined(given), Object.keys(KEYS), problems)
  const modes = {
    ...(isolationLevel !== undefined && { isolationLevel: inLowerCase<IsolationLevel>(isolationLevel) }),
    ...(accessMode !== undefined && { accessMode: inLowerCase(accessMode) }),
    ...(deferrable !== undefined && { deferrable }),
  }
  if ('isolationLevel' in modes) problems.oneOf('transaction.isolationLevel', modes.isolationLevel, ISOLATION_LEVELS)
  if ('accessMode' in modes) problems.oneOf('transaction.accessMode', modes.accessMode, ACCESS_MODES)
  if ('deferrable' in modes) problems.oneOf('transaction.deferrable', modes.deferrable, [true, false])
  if ('signal' in acquire && typeof acquire.signal?.throwIfAborted !== 'function')
    problems.add('transaction.signal', 'an AbortSignal', acquire.signal)
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return { modes, acquire }
}

function inLowerCase<Word extends string>(word: Word | Uppercase<Word>): Word {
  return (typeof word === 'string' ? word.toLowerCase() : word) as Word
}
