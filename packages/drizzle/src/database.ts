import type { AttemptInfo, Pool, PoolOptions, RunOptions } from '@holdfast/core'
import type { DrizzleConfig } from 'drizzle-orm'
import type { NodePgDatabase, drizzle as stock } from 'drizzle-orm/node-postgres'
import type { PgTransactionConfig } from 'drizzle-orm/pg-core'
import type { Client, PoolClient } from 'pg'

// A database is generic in its schema in Drizzle 0.45, and in its relations in 1.0. These types fit the version that is installed.
type StockConfig = NonNullable<Parameters<typeof stock.mock>[0]>
type AnySchema = ReturnType<typeof stock> extends NodePgDatabase<infer Schema> ? Schema : never
type NoSchema = NodePgDatabase extends NodePgDatabase<infer Schema> ? Schema : never
type TransactionOf<Schema extends AnySchema> = Parameters<Parameters<NodePgDatabase<Schema>['transaction']>[0]>[0]

/** What runs in a transaction. */
export type TransactionFunction<Tx, Result> = (tx: Tx, info: AttemptInfo) => Promise<Result>

/** What `drizzle` takes as `client`: a Holdfast `Pool`, or a single client, whose lost connection isn't replaced. */
export type DrizzleClient = Pool | PoolClient | Client

/** What `drizzle` takes: Drizzle's own (`schema` or `relations`, `logger`, `casing`, `cache` and so on), and `retry`. */
export type DrizzleOptions<Schema extends AnySchema = NoSchema> = DrizzleConfig<Schema> &
  Omit<StockConfig, keyof DrizzleConfig> & {
    /**
     * The `retry` of every `db.transaction` that doesn't say otherwise.
     * @default false: the function of a transaction may have effects elsewhere.
     */
    readonly retry?: RunOptions['retry']
    /**
     * Says that running a SELECT of the query builder twice is harmless: outside of transactions it is sent again when its
     * connection was lost.
     * @default false
     */
    readonly idempotentSelects?: boolean | undefined
  }

/** How `db.transaction` runs: Drizzle's own modes, and Holdfast's options. Nested transactions take none of them. */
export type TransactionConfig = PgTransactionConfig &
  Omit<RunOptions, 'retry'> & {
    /**
     * Runs the whole transaction again when it is certain that nothing of it was written; `true` does so 3 times. Its
     * function then runs several times, and is told which `attempt` it is.
     * @default what `drizzle` was given, else false.
     */
    readonly retry?: RunOptions['retry']
  }

/** Drizzle's own database. Its transactions can be retried as a whole, be given up, and know which attempt they are. */
export interface HoldfastDatabase<Schema extends AnySchema = NoSchema> extends NodePgDatabase<Schema> {
  /**
   * Commits when `fn` resolves, rolls back when it rejects. `tx.transaction` is a savepoint, never retried by itself.
   *
   * @throws What `fn` throws, in the last attempt.
   * @throws {DrizzleQueryError} when a statement failed: `cause` is the error of the server or of the pool.
   * @throws The reason of `signal`, if that was aborted before COMMIT was sent: nothing was written.
   * @throws {OptionsError} that names every option that can't work.
   * @throws What `pool.connect()` throws.
   */
  transaction<Result>(
    fn: TransactionFunction<TransactionOf<Schema>, Result>,
    config?: TransactionConfig,
  ): Promise<Result>
}

/** `drizzle` of drizzle-orm/node-postgres, on a Holdfast `Pool`. */
export interface Drizzle {
  /**
   * @throws {OptionsError} when it is given two places to connect to; when the pool is a stock `pg.Pool`, or has ended;
   * when Drizzle would not recognise it as a pool; when this version of drizzle-orm isn't supported.
   */
  <Schema extends AnySchema = NoSchema, Client extends DrizzleClient = Pool>(
    ...params:
      | [Client | string]
      | [Client | string, DrizzleOptions<Schema>]
      | [DrizzleOptions<Schema> & ({ client: Client } | { connection: string | PoolOptions })]
  ): HoldfastDatabase<Schema> & { $client: DrizzleClient extends Client ? Pool : Client }

  /** A database without a server, as with Drizzle: for code that only builds statements. */
  mock<Schema extends AnySchema = NoSchema>(
    config?: DrizzleOptions<Schema>,
  ): HoldfastDatabase<Schema> & { $client: '$client is not available on drizzle.mock()' }
}
