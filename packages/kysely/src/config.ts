import { checkPool, OptionsError, Pool, type PoolOptions } from '@holdfast/core'
import type { AbortableOperationOptions, PostgresDialectConfig } from 'kysely'
import Cursor from 'pg-cursor'

/**
 * Configures a `HoldfastDialect`: a `pool`, or the options of one that the dialect makes (without any, the `PG*` variables
 * tell where it leads), and what Kysely's own dialect takes:
 * - `cursor` reads streams. Default: pg-cursor.
 * - `controlClient` cancels queries and kills sessions. Default: the pool's own class of clients, with the pool's options,
 *   but 5 seconds each to connect and to be answered.
 * - `onCreateConnection` sets a session up before its first use, `onReserveConnection` before each. When one throws, the
 *   caller is told, and the connection goes back; `onCreateConnection` then runs again before the next use.
 * - `idempotentSelects`, our own, says that running a SELECT of the query builder twice is harmless: outside of transactions
 *   one is sent again when its connection was lost. Not beside the hooks, which that connection hasn't seen. Default: false.
 */
export type HoldfastDialectConfig = Omit<PostgresDialectConfig, 'pool'> & { readonly idempotentSelects?: boolean } & (
    | ({ readonly pool: Pool | AskForPool } & { readonly [Key in keyof PoolOptions]?: undefined })
    | (PoolOptions & { readonly pool?: undefined })
  )

/** Asked before the first query. */
type AskForPool = (options?: AbortableOperationOptions) => Promise<Pool>

/** What the driver needs to know. */
export type ResolvedConfig = Omit<PostgresDialectConfig, 'pool'> & { pool: AskForPool; idempotentSelects: boolean }

/** @throws {OptionsError} that names every option that can't work. */
export function resolveConfig(config: HoldfastDialectConfig): ResolvedConfig {
  if (typeof config !== 'object' || config === null || 'connect' in config)
    throw new OptionsError(['`HoldfastDialect` takes an object: `{ pool }`, or `{ connectionString }` and the like.'])
  const { pool: given, idempotentSelects = false, ...others } = config
  const { cursor = Cursor, controlClient, onCreateConnection, onReserveConnection, ...options } = others
  const rest = { cursor, controlClient, onCreateConnection, onReserveConnection } as Omit<PostgresDialectConfig, 'pool'>
  if (given !== undefined && typeof given !== 'function') checkPool('pool', given)
  const problems: string[] = []
  for (const [name, value] of Object.entries(rest))
    if (value !== undefined && typeof value !== 'function')
      problems.push(`\`${name}\` must be a function or a class, got ${typeof value}.`)
  if (typeof idempotentSelects !== 'boolean')
    problems.push(`\`idempotentSelects\` must be true or false, got ${String(idempotentSelects)}.`)
  if (idempotentSelects && (onCreateConnection || onReserveConnection))
    problems.push("`idempotentSelects` can't be given beside hooks: `onConnect` of the pool sets up every connection.")
  for (const [name, value] of Object.entries(given === undefined ? {} : options))
    if (value !== undefined) problems.push(`\`${name}\` can't be given beside \`pool\`: it is an option of one.`)
  if (problems.length > 0) throw new OptionsError(problems)
  const { password, connectionString } = config as PoolOptions // Not enumerable in the options of another pool.
  const pool = given ?? new Pool({ ...(options as PoolOptions), password, connectionString })
  return { ...rest, idempotentSelects, pool: typeof pool === 'function' ? pool : async () => pool }
}
