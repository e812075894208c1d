import { type RunOptions, runTransaction, type TransactionWork } from '@holdfast/core'
import type { DataSource, DataSourceOptions, EntityManager } from 'typeorm'
import { poolsOf } from './drain.ts'

/** How a transaction is run, and when again. */
export interface TransactionOptions extends RunOptions {
  /** @default the data source's own, else the server's */
  readonly isolationLevel?: DataSourceOptions['isolationLevel'] | undefined
}
type Work<Result> = TransactionWork<EntityManager, Result>

/**
 * `dataSource.transaction()`, run again as a whole, with a new query runner, when it is certain that nothing was written.
 * Make or load entities in `fn`: those of a failed attempt look as if they had been saved.
 *
 * @throws What the last attempt threw; the reason of `signal`, if that was aborted first: then nothing was written.
 * @throws {OptionsError} that names every option that can't work, or when the pool isn't Holdfast's.
 */
export async function transaction<Result>(
  dataSource: DataSource,
  ...rest: [fn: Work<Result>] | [options: TransactionOptions, fn: Work<Result>]
): Promise<Result> {
  const [{ isolationLevel: level, ...run }, fn] = rest.length === 1 ? [{} as TransactionOptions, rest[0]] : rest
  poolsOf(dataSource) // Others don't notice a COMMIT: the work might run again behind it.
  return runTransaction((work) => dataSource.transaction(level as 'SERIALIZABLE', work), fn, run)
}
