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
import type { PingOptions, ReadyOptions } from './options/call-options.ts'
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

/** What a `Pool` answers about its server. */
export interface HealthChecks {
  /**
   * Proves that the server answers, by a statement that waits its turn like any other. If the time is up before that, it is
   * enough that the server has answered others of this pool meanwhile: a pool that is only busy answers, too.
   *
   * @throws {PingTimeoutError} after `timeoutMillis`.
   * @throws What `query()` throws.
   */
  ping(options?: PingOptions): Promise<void>

  /**
   * Resolves when a connection is open and the server has answered over it. Until `timeoutMillis` it keeps trying, also after
   * failures that end a `connect()`: a name that is unknown so far, a database that isn't there, a wrong password.
   *
   * @throws {ConnectError} or PoolTimeoutError after `timeoutMillis`: why there is no connection.
   */
  ready(options?: ReadyOptions): Promise<void>
}

type PgPool = pg.Pool & QueryWithOptions & HealthChecks

/** The class `pg.Pool`, as if it had the methods that `Pool` defines on its prototype: `Pool` extends it by this type. */
export interface PgPoolClass extends Omit<typeof pg.Pool, 'prototype'> {
  readonly prototype: PgPool
  new (config?: PoolConfig): PgPool
}
