import { OptionsError } from '../errors.ts'
import { Problems, readOptions, withoutUndefined } from '../options/check.ts'
import { checkGroupKeys } from '../options/check-keys.ts'
import { type ResolvedRunOptions, RUN_KEYS, type RunOptions, resolveRun } from './run-options.ts'

const ISOLATION_LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const
const ACCESS_MODES = ['read only', 'read write'] as const

/** What a transaction may see of others that run beside it. */
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number]

/** Whether a transaction may write. */
export type AccessMode = (typeof ACCESS_MODES)[number]

/**
 * How a transaction runs. What is absent of its modes is as the session has it (`default_transaction_isolation` and its
 * kin).
 *
 * @see https://www.postgresql.org/docs/current/sql-set-transaction.html
 */
export interface TransactionOptions extends RunOptions {
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

/** The options, checked: a part for BEGIN, a part for whoever runs the attempts. */
export interface ResolvedTransactionOptions {
  readonly modes: TransactionModes
  readonly run: ResolvedRunOptions
}

const MODE_KEYS: Record<keyof TransactionModes, true> = { isolationLevel: true, accessMode: true, deferrable: true }
const KEYS = [...Object.keys(MODE_KEYS), ...RUN_KEYS]

/**
 * Checks what the user gave.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveTransactionOptions(given: TransactionOptions): ResolvedTransactionOptions {
  return readOptions('transaction', () => resolve(given))
}

function resolve(given: TransactionOptions): ResolvedTransactionOptions {
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
