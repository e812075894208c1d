import { OptionsError } from '../errors.ts'
import { Problems, readOptions, withoutUndefined } from '../options/check.ts'
import { checkGroupKeys } from '../options/check-keys.ts'
import { type ResolvedRunOptions, RUN_KEYS, type RunOptions, resolveRun } from './run-options.ts'

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

/** The statement that begins a transaction in these modes: one round trip for all of them. */
export function beginStatement({ isolationLevel, accessMode, deferrable }: TransactionModes): string {
  const modes: string[] = []
  if (isolationLevel !== undefined) modes.push(`ISOLATION LEVEL ${isolationLevel}`)
  if (accessMode !== undefined) modes.push(accessMode)
  if (deferrable !== undefined) modes.push(deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE')
  return `BEGIN ${modes.join(', ')}`.trimEnd().toUpperCase()
}
