import type pg from 'pg'
import type {
  PoolConfig,
  QueryArrayConfig,
  QueryArrayResult,
  QueryConfig,
  QueryConfigValues,
  QueryResult,
  QueryResultRow,
} from 'pg'
import type { StatementOptions } from './transaction/run-statement.ts'

// biome-ignore lint/suspicious/noExplicitAny: as in the signatures of pg.Pool.
type Any = any

/** What `Pool.query` accepts in addition to the signatures of `pg.Pool`. */
export interface QueryWithOptions {
  /**
   * Runs one statement on whichever connection is free. A plain SQL error leaves the connection in the pool.
   *
   * With `idempotent` it is sent again when its connection is lost. With `transactional` it runs as a transaction of its
   * own, whose outcome is resolved.
   *
   * @throws {ConnectionLostError} when the connection died while the statement ran: `sent` and `commitOutcome` tell more.
   * @throws {OptionsError} that names every option that can't work.
   * @throws The reason of `signal`.
   * @throws What `connect()` throws.
   */
  query<R extends Any[] = Any[], I = Any[]>(
    queryConfig: QueryArrayConfig<I> & StatementOptions,
    values?: QueryConfigValues<I>,
  ): Promise<QueryArrayResult<R>>
  query<R extends QueryResultRow = Any, I = Any[]>(
    queryConfig: QueryConfig<I> & StatementOptions,
    values?: QueryConfigValues<I>,
  ): Promise<QueryResult<R>>
  query<R extends QueryResultRow = Any, I = Any[]>(
    queryTextOrConfig: string | QueryConfig<I>,
    values: QueryConfigValues<I> | undefined,
    options: StatementOptions,
  ): Promise<QueryResult<R>>
}

/** The class `pg.Pool`, as if its `query` accepted our options: `Pool` extends it by this type. */
export interface PgPoolClass extends Omit<typeof pg.Pool, 'prototype'> {
  readonly prototype: pg.Pool & QueryWithOptions
  new (config?: PoolConfig): pg.Pool & QueryWithOptions
}
