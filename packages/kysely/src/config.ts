import { checkPool, OptionsError, Pool, type PoolOptions } from '@holdfast/core'
import type { AbortableOperationOptions, PostgresDialectConfig } from 'kysely'
import Cursor from 'pg-cursor'

/**
 * Configures a `HoldfastDialect`: a `pool`, or the options of a pool that the dialect makes (without any, the `PG*` variables
 * say where the server is), and what Kysely's own dialect takes:
 * - `cursor` reads streams. Default: pg-cursor.
 * - `controlClient` cancels queries and kills sessions. Default: the pool's own class of clients with the pool's options,
 *   and 5 seconds each to connect and to be answered.
 * - `onCreateConnection` sets a session up before its first use, `onReserveConnection` before each use. When one throws, the
 *   caller is told, and the connection is released; `onCreateConnection` then runs again before the next use.
 *
 * `idempotentSelects` is Holdfast's own. It says that running a SELECT of the query builder twice is harmless: outside of
 * transactions it is sent again when its connection was lost. It can't be given beside the hooks, since they haven't run on
 * the other connection. Default: false.
 */
export type HoldfastDialectConfig = Omit<PostgresDialectConfig, 'pool'> & { readonly idempotentSelects?: boolean } & (
    | ({ readonly pool: Pool | GetPool } & { readonly [Key in keyof PoolOptions]?: undefined })
    | (PoolOptions & { readonly pool?: undefined })
  )

/** Kysely calls it before the first query. */
type GetPool = (options?: AbortableOperationOptions) => Promise<Pool>

/** The config with its defaults, checked. */
export type ResolvedConfig = Omit<PostgresDialectConfig, 'pool'> & { pool: GetPool; idempotentSelects: boolean }

/** @throws {OptionsError} that names every option that can't work. */
export function resolveConfig(config: HoldfastDialectConfig): ResolvedConfig {
  if (typeof config !== 'object' || config === null || 'connect' in config)
    throw new OptionsError(['`HoldfastDialect` takes an object: `{ pool }`, or `{ connectionString }` and the like.'])
  const { pool: givenPool, idempotentSelects = false, ...rest } = config
  const { cursor = Cursor, controlClient, onCreateConnection, onReserveConnection, ...poolOptions } = rest
  const ofKysely = { cursor, controlClient, onCreateConnection, onReserveConnection }
  if (givenPool !== undefined && typeof givenPool !== 'function') checkPool('pool', givenPool)
  const problems: string[] = []
  for (const [name, value] of Object.entries(ofKysely))
    if (value !== undefined && typeof value !== 'function')
      problems.push(`\`${name}\` must be a function or a class, got ${typeof value}.`)
  if (typeof idempotentSelects !== 'boolean')
    problems.push(`\`idempotentSelects\` must be true or false, got ${String(idempotentSelects)}.`)
  if (idempotentSelects && (onCreateConnection || onReserveConnection))
    problems.push("`idempotentSelects` can't be given beside hooks: `onConnect` of the pool sets up every connection.")
  for (const [name, value] of Object.entries(givenPool === undefined ? {} : poolOptions))
    if (value !== undefined) problems.push(`\`${name}\` can't be given beside \`pool\`: it is an option of one.`)
  if (problems.length > 0) throw new OptionsError(problems)
  const { password, connectionString } = config as PoolOptions // Not enumerable in the options of another pool.
  const pool = givenPool ?? new Pool({ ...(poolOptions as PoolOptions), password, connectionString })
  return {
    ...(ofKysely as Omit<PostgresDialectConfig, 'pool'>),
    idempotentSelects,
    pool: typeof pool === 'function' ? pool : async () => pool,
  }
}
