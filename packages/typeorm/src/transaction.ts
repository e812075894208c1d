import { type RunOptions, runTransaction, type TransactionWork } from '@holdfast/core'
import type { DataSource, DataSourceOptions, EntityManager } from 'typeorm'
import { poolsOf } from './drain.ts'

/** How a transaction runs, and when it runs again. */
export interface TransactionOptions extends RunOptions {
  /** @default the data source's own, else the server's */
  readonly isolationLevel?: DataSourceOptions['isolationLevel'] | undefined
}
type TransactionFunction<Result> = TransactionWork<EntityManager, Result>

/**
 * Runs `dataSource.transaction()`, and runs it again as a whole, with a new query runner, when it is certain that nothing was
 * written. Make or load entities in `fn`: after a failed attempt entities still hold what TypeORM wrote into them.
 *
 * @throws What the last attempt threw; the reason of `signal`, if that was aborted first: then nothing was written.
 * @throws {OptionsError} that names every option that can't work, or when the pool isn't Holdfast's.
 */
export async function transaction<Result>(
  dataSource: DataSource,
  ...rest: [fn: TransactionFunction<Result>] | [options: TransactionOptions, fn: TransactionFunction<Result>]
): Promise<Result> {
  const [options, fn] = rest.length === 1 ? [{} as TransactionOptions, rest[0]] : rest
  const { isolationLevel, ...runOptions } = options
  poolsOf(dataSource) // Only Holdfast's clients note that COMMIT was sent. With others `fn` might run again after it.
  // TypeORM takes undefined as well, though its types don't say so.
  const level = isolationLevel as 'SERIALIZABLE'
  return runTransaction((run) => dataSource.transaction(level, run), fn, runOptions)
}
