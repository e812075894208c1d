import { OptionsError, Pool, type PoolOptions } from '@holdfast/core'
import type { AbortableOperationOptions, PostgresDialectConfig } from 'kysely'
import Cursor from 'pg-cursor'
import { lend } from './lend.ts'

/** A pool that is there already, or a function that is asked for one before the first query. */
type GivenPool = Pool | ((options?: AbortableOperationOptions) => Promise<Pool>)

/**
 * Configures a `HoldfastDialect`: a `pool`, or the options of one that the dialect makes (without any, the `PG*` variables
 * tell where it leads), and what Kysely's own dialect takes:
 *
 * - `cursor` reads streams. Default: pg-cursor.
 * - `controlClient` cancels queries and kills sessions. Default: the pool's own class of clients, with the pool's options,
 *   but 5 seconds each to connect and to be answered.
 * - `onCreateConnection` sets a session up before its first use, `onReserveConnection` before each. When one throws, the
 *   caller is told, and the connection goes back; `onCreateConnection` then runs again before the next use.
 */
export type HoldfastDialectConfig = Omit<PostgresDialectConfig, 'pool'> &
  (
    | ({ readonly pool: GivenPool } & { readonly [Key in keyof PoolOptions]?: undefined })
    | (PoolOptions & { readonly pool?: undefined })
  )

/**
 * What Kysely's own dialect takes.
 *
 * @throws {OptionsError} that names every option that can't work.
 */
export function resolveConfig(config: HoldfastDialectConfig): PostgresDialectConfig {
  if (typeof config !== 'object' || config === null || isPool(config))
    throw new OptionsError(['`HoldfastDialect` takes an object: `{ pool }`, or `{ connectionString }` and the like.'])
  const { pool: given, cursor = Cursor, controlClient, onCreateConnection, onReserveConnection, ...options } = config
  const rest = { cursor, controlClient, onCreateConnection, onReserveConnection } as Omit<PostgresDialectConfig, 'pool'>
  const problems = given === undefined || typeof given === 'function' ? [] : problemsOf(given)
  for (const [name, value] of Object.entries(rest))
    if (value !== undefined && typeof value !== 'function')
      problems.push(`\`${name}\` must be a function or a class, got ${typeof value}.`)
  const both = Object.entries(options).filter(([, value]) => given !== undefined && value !== undefined)
  for (const [name] of both) problems.push(`\`${name}\` can't be given beside \`pool\`: it is an option of one.`)
  if (problems.length > 0) throw new OptionsError(problems)
  const { password } = config as PoolOptions // Not enumerable in the options of another pool.
  const pool = given ?? new Pool({ ...(options as PoolOptions), password })
  return { ...rest, pool: async (asked) => lend(typeof pool === 'function' ? await ours(pool(asked)) : pool) }
}

async function ours(given: Promise<Pool>): Promise<Pool> {
  const problems = problemsOf(await given)
  if (problems.length > 0) throw new OptionsError(problems)
  return given
}

/** Why this can't be the pool, if it can't. */
function problemsOf(pool: unknown): string[] {
  if (pool instanceof Pool) return pool.ending ? ['`pool` has ended: give one that is open.'] : []
  const given = isPool(pool) ? 'another pool' : typeof pool
  const remedy = "import { Pool } from '@holdfast/core' instead of 'pg'; its options stay the same"
  return [`\`pool\` must be a Pool of @holdfast/core, got ${given}: ${remedy}.`]
}

function isPool(value: unknown): boolean {
  return typeof (value as Partial<Pool> | null)?.connect === 'function'
}
