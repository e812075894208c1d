import type { Pool } from '@holdfast/core'
import { HoldfastDialect, type HoldfastDialectConfig } from '@holdfast/kysely'
import { Kysely, PostgresDialect, type PostgresDialectConfig, type PostgresPool, sql } from 'kysely'
import Cursor from 'pg-cursor'
import type { StockPool } from '../../../faults/support/pools.ts'

/** The tables that the tests know. */
export interface Tables {
  entry: { id: string }
}

/** The options of the dialects, without the pool. */
export type DialectOptions = Omit<PostgresDialectConfig, 'pool'> & Pick<HoldfastDialectConfig, 'idempotentSelects'>

/** Kysely on a Holdfast pool, by the adapter. */
export function kysely(pool: Pool, options: DialectOptions = {}): Kysely<Tables> {
  return new Kysely({ dialect: new HoldfastDialect({ ...options, pool }) })
}

/** Kysely as its documentation has it. */
export function stockKysely(pool: StockPool, options: DialectOptions = {}): Kysely<Tables> {
  const dialect = new PostgresDialect({ cursor: Cursor, ...options, pool: pool as unknown as PostgresPool })
  return new Kysely({ dialect })
}

/** The pid of the server process that runs this statement. */
export async function backendPid(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)
  return rows[0]?.pid as number
}

/** The ids of all entries that begin with `beginning`. */
export async function entries(db: Kysely<Tables>, beginning: string): Promise<string[]> {
  const rows = await db.selectFrom('entry').select('id').where('id', 'like', `${beginning}%`).orderBy('id').execute()
  return rows.map(({ id }) => id)
}
