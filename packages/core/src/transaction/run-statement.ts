import pRetry from 'p-retry'
import type { QueryConfig, QueryResult } from 'pg'
import { kindToSend, textOf } from '../connection/query-arguments.ts'
import { copyWith } from '../driver/copy-config.ts'
import { OptionsError } from '../errors.ts'
import { checkGroupKeys, Problems, readOptions, withoutUndefined } from '../options/check.ts'
import { TRANSACTION_RETRY } from '../options/option-table.ts'
import { isDisconnect } from '../policy/classify-error.ts'
import { isEnclosableWrite, NOT_IN_A_TRANSACTION } from '../policy/enclosing.ts'
import { mayRunTwice } from '../policy/retry.ts'
import { hasRunOut, publishRetry } from '../rerun/reruns.ts'
import { followSignal } from '../runtime/abort.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Publisher } from '../telemetry/events.ts'
import { codeOf } from '../thrown.ts'
import { statementOn, type TransactionSource } from './pool-transaction.ts'

/** How one statement of `pool.query` runs. */
export interface StatementOptions {
  /** Gives up: leaves the queue, or cancels the statement at the server. Rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * The statement may run twice: it only reads, or sets what may be set already. If its connection is lost it is sent
   * again, at most 3 times, even if it may have run.
   *
   * @default false
   */
  readonly idempotent?: boolean | undefined
  /**
   * The statement writes, and must not run twice: it runs as a transaction of its own (one round trip more). It ends in
   * its result, in an error that guarantees that nothing was written, or in `CommitOutcomeUnknownError`. It runs again only
   * if nothing was written. `false` leaves a write alone although the pool has `transactionalWrites`.
   *
   * @default the pool's `transactionalWrites`, which is false
   */
  readonly transactional?: boolean | undefined
  /** `false`: the pool doesn't prepare it by itself, however often it is sent. @default the pool's `prepare` */
  readonly prepare?: boolean | undefined
  /**
   * `false`: don't run a plain read again although its connection was lost: see the pool's `retryReads`.
   *
   * @default the pool's `retryReads`, which is true
   */
  readonly retryRead?: boolean | undefined
}

/** Where such a statement runs. */
export interface StatementSource extends TransactionSource {
  query(statement: QueryConfig): Promise<QueryResult>
}

/** What the pool has set for its statements. */
export interface StatementSettings {
  readonly publisher: Publisher
  readonly transactionalWrites: boolean
  /** How long ROLLBACK may take, in milliseconds. */
  readonly rollbackMillis: number
}

/** What an option takes. The type makes this list complete. */
const KINDS: Record<keyof StatementOptions, 'signal' | 'flag'> = {
  signal: 'signal',
  idempotent: 'flag',
  transactional: 'flag',
  prepare: 'flag',
  retryRead: 'flag',
}
const KEYS = Object.keys(KINDS) as (keyof StatementOptions)[]

/**
 * Runs a statement that has such options, in its config or in the third argument, or for which the pool has them; undefined
 * if it has none.
 */
export function runSpecially(
  source: StatementSource,
  settings: StatementSettings,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  third: unknown,
): Promise<QueryResult> | undefined {
  if (typeof query === 'string' && !third && !settings.transactionalWrites) return undefined
  return runWithOptions(source, settings, query, values, third)
}

/** A separate function: its closure costs nothing where a text is all that is given. */
function runWithOptions(
  source: StatementSource,
  settings: StatementSettings,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  third: unknown,
): Promise<QueryResult> | undefined {
  try {
    const options = readOptions('query', () => statementOptionsOf(query, third))
    const isEnclosed =
      settings.transactionalWrites &&
      options?.idempotent !== true &&
      options?.transactional === undefined &&
      transactionalOf(query) !== false &&
      isWrite(query, values)
    if (isEnclosed) return runWrite(source, settings, query, values, options)
    return options && runStatement(source, settings, query, values, options)
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * The options in the config or the third argument of `query`; undefined if there are none.
 *
 * @throws {OptionsError} that names every option that can't work.
 */
function statementOptionsOf(query: unknown, third: unknown): StatementOptions | undefined {
  const inConfig = isConfig(query) ? (query as StatementOptions) : {}
  if (!third && !inConfig.idempotent && !inConfig.transactional) return undefined
  const problems = new Problems()
  if (third) problems.group('query', third, '{ idempotent: true }')
  const given = withoutUndefined((third || {}) as StatementOptions)
  checkGroupKeys('query', given, KEYS, problems)
  const options = { ...pick(inConfig), ...given }
  for (const key of KEYS)
    if (KINDS[key] === 'flag' && options[key] !== undefined) problems.oneOf(`query.${key}`, options[key], [true, false])
  if (options.idempotent && options.transactional)
    problems.found.push('`query.idempotent` and `query.transactional` exclude each other: may it run twice, or not?')
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return options
}

function isConfig(query: unknown): query is QueryConfig {
  return typeof query === 'object' && query !== null && !('submit' in query)
}

function transactionalOf(query: unknown): unknown {
  return isConfig(query) ? (query as StatementOptions).transactional : undefined
}

function isWrite(query: unknown, values: unknown[] | undefined): boolean {
  if (typeof query !== 'string' && !isConfig(query)) return false
  return isEnclosableWrite(textOf(query), kindToSend(query as string | QueryConfig, values))
}

/** Runs a write in a transaction of its own, unless it can't run in one: then by itself. */
async function runWrite(
  source: StatementSource,
  { rollbackMillis }: StatementSettings,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  options: StatementOptions | undefined,
): Promise<QueryResult> {
  const statement = copyWith(statementOf(query, values), withoutUndefined({ prepare: options?.prepare }))
  const given = options?.signal ?? (statement as StatementOptions).signal
  try {
    return await statementOn(source, statement, given ? { signal: given } : {}, rollbackMillis)
  } catch (error) {
    if (codeOf(error) !== NOT_IN_A_TRANSACTION || isDisconnect(error)) throw error
    return await source.query(statement)
  }
}

/** Runs a statement as its options say. */
async function runStatement(
  source: StatementSource,
  { publisher, rollbackMillis }: StatementSettings,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  { signal, idempotent, transactional, prepare, retryRead }: StatementOptions,
): Promise<QueryResult> {
  const plain = statementOf(query, values)
  const statement = prepare === undefined ? plain : copyWith(plain, { prepare })
  if (transactional) return await statementOn(source, statement, signal ? { signal } : {}, rollbackMillis)
  const own = withoutUndefined({ signal, retryRead })
  const abortable = Object.keys(own).length > 0 ? copyWith(statement, own) : statement
  if (!idempotent) return await source.query(abortable)
  let failed: { readonly error: Error; readonly at: number } | undefined
  const tryOnce = (attempt: number): Promise<QueryResult> => {
    if (failed) publishRetry(publisher, { reason: 'idempotent', attempt, ...failed })
    return source.query(abortable)
  }
  const following = signal && followSignal(signal)
  return await pRetry(tryOnce, {
    ...TRANSACTION_RETRY,
    ...(following && { signal: following.signal }),
    onFailedAttempt: ({ error }) => {
      failed = { error, at: systemClock.now() }
    },
    shouldRetry: ({ error }) => !hasRunOut(error) && mayRunTwice(error),
  }).finally(following?.leave)
}

/** The statement without what is done here. Its own class is kept, whose getters may provide the text. */
function statementOf(query: string | QueryConfig, values: unknown[] | undefined): QueryConfig {
  if (typeof query === 'string') return { text: query, transactional: false, ...(values && { values }) } as QueryConfig
  // `pool.query` calls no callback that is in the config, as with pg. And a client must not enclose it again.
  const done = { idempotent: undefined, transactional: false, callback: undefined }
  return copyWith(query, { ...done, ...(values && { values }) })
}

/** The options in a statement, also those that its class has getters for. */
function pick(config: StatementOptions): StatementOptions {
  return withoutUndefined(Object.fromEntries(KEYS.map((key) => [key, config[key]])))
}
