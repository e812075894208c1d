import pRetry from 'p-retry'
import type { QueryConfig, QueryResult } from 'pg'
import { copyProperties } from '../driver/copy-config.ts'
import { OptionsError, PoolTimeoutError } from '../errors.ts'
import { checkGroupKeys, Problems, readOptions, withoutUndefined } from '../options/check.ts'
import { TRANSACTION_RETRY } from '../options/option-table.ts'
import { isDisconnect, isRetryable } from '../policy/classify-error.ts'
import { followSignal } from '../runtime/abort.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Transaction } from './transaction.ts'
import type { RunOptions } from './transaction-options.ts'

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
   * The statement writes, and must not run twice: it runs as a transaction of its own (two round trips more). It ends in
   * its result, in an error that guarantees that nothing was written, or in `CommitOutcomeUnknownError`. It runs again only
   * if nothing was written.
   *
   * @default false
   */
  readonly transactional?: boolean | undefined
}

/** Where such a statement runs. */
export interface StatementSource {
  query(statement: QueryConfig): Promise<QueryResult>
  transaction<Result>(fn: (tx: Transaction) => Promise<Result>, options: RunOptions): Promise<Result>
}

// The type makes this list complete.
const KEYS: Record<keyof StatementOptions, true> = { signal: true, idempotent: true, transactional: true }

/** Runs a statement that has such options, in its config or in the third argument; undefined if it has none. */
export function runSpecially(
  source: StatementSource,
  publisher: Publisher,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  third: unknown,
): Promise<QueryResult> | undefined {
  return typeof query === 'string' && !third ? undefined : runWithOptions(source, publisher, query, values, third)
}

/** A separate function: its closure costs nothing where a text is all that is given. */
function runWithOptions(
  source: StatementSource,
  publisher: Publisher,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  third: unknown,
): Promise<QueryResult> | undefined {
  try {
    const options = readOptions('query', () => statementOptionsOf(query, third))
    return options && runStatement(source, publisher, query, values, options)
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
  const isConfig = typeof query === 'object' && query !== null && !('submit' in query)
  const inConfig = isConfig ? (query as StatementOptions) : {}
  if (!third && !inConfig.idempotent && !inConfig.transactional) return undefined
  const problems = new Problems()
  if (third) problems.group('query', third, '{ idempotent: true }')
  const given = withoutUndefined((third || {}) as StatementOptions)
  checkGroupKeys('query', given, Object.keys(KEYS), problems)
  const { signal, idempotent, transactional } = { ...pick(inConfig), ...given }
  for (const [option, value] of Object.entries({ idempotent, transactional }))
    if (value !== undefined) problems.oneOf(`query.${option}`, value, [true, false])
  if (idempotent && transactional)
    problems.found.push('`query.idempotent` and `query.transactional` exclude each other: may it run twice, or not?')
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return { signal, idempotent, transactional }
}

/** Runs a statement as its options say. */
async function runStatement(
  source: StatementSource,
  publisher: Publisher,
  query: string | QueryConfig,
  values: unknown[] | undefined,
  { signal, idempotent, transactional }: StatementOptions,
): Promise<QueryResult> {
  const statement = statementOf(query, values)
  if (transactional) return await source.transaction((tx) => tx.query(statement), signal ? { signal } : {})
  const abortable = signal ? withProperties(statement, { signal }) : statement
  if (!idempotent) return await source.query(abortable)
  let failed: { readonly error: Error; readonly at: number } | undefined
  const tryOnce = (attempt: number): Promise<QueryResult> => {
    if (failed)
      publisher.publish({
        type: 'statement-retried',
        reason: 'idempotent',
        attempt,
        error: failed.error,
        pausedMillis: systemClock.now() - failed.at,
      })
    return source.query(abortable)
  }
  const following = signal && followSignal(signal)
  return await pRetry(tryOnce, {
    ...TRANSACTION_RETRY,
    ...(following && { signal: following.signal }),
    onFailedAttempt: ({ error }) => {
      failed = { error, at: systemClock.now() }
    },
    shouldRetry: ({ error }) => !(error instanceof PoolTimeoutError) && (isDisconnect(error) || isRetryable(error)),
  }).finally(following?.leave)
}

/** The statement without what is done here. Its own class is kept, whose getters may provide the text. */
function statementOf(query: string | QueryConfig, values: unknown[] | undefined): QueryConfig {
  if (typeof query === 'string') return { text: query, ...(values && { values }) }
  // `pool.query` calls no callback that is in the config, as with pg.
  const done = { idempotent: undefined, transactional: undefined, callback: undefined }
  return withProperties(query, { ...done, ...(values && { values }) })
}

/** A copy that has these properties, also where the class has a getter for one. */
function withProperties(statement: QueryConfig, properties: object): QueryConfig {
  const copy = copyProperties(statement)
  for (const [key, value] of Object.entries(properties))
    Object.defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true })
  return copy
}

function pick({ signal, idempotent, transactional }: StatementOptions): StatementOptions {
  return withoutUndefined({ signal, idempotent, transactional })
}
