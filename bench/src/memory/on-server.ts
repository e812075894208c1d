import { Pool } from '@holdfast/core'
import pg, { type ClientConfig } from 'pg'
import type { ContestantName } from '../contestants.ts'
import { connectPostgresJs } from '../read/postgres-js.ts'
import { COLUMNS } from '../read/statements.ts'

/** The pools whose sessions are weighed on the server. */
export type WeighedSession = Extract<ContestantName, 'holdfast' | 'pg-pool' | 'postgres-js'>

/** A pool of one connection: all statements run in the same session. */
interface OneSession {
  query(text: string, values?: readonly unknown[]): Promise<readonly object[]>
  close(): Promise<unknown>
}

/** The server keeps one plan for all values from the sixth run on, if it is no worse. */
const RUNS = 15
const HELD = 'select sum(total_bytes)::text as held from pg_backend_memory_contexts'

/** As many texts that read a row by its key. */
export function textsToPrepare(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const columns = COLUMNS.filter((_column, place) => place === 0 || (index + 1) & (1 << (place - 1)))
    return `select ${columns.join(', ')} from item where id = $1`
  })
}

/**
 * What the session of a pool holds on the server, in bytes, when it has run each of these texts so often that they are prepared
 * where they are going to be, and their plans are kept.
 */
export async function weighSession(
  contestant: WeighedSession,
  config: ClientConfig,
  texts: readonly string[],
): Promise<number> {
  const { query, close } = await open(contestant, config)
  try {
    for (let run = 0; run < RUNS; run++) for (const text of texts) await query(text, [7])
    return Number((await query(HELD))[0]?.['held' as never])
  } finally {
    await close()
  }
}

async function open(contestant: WeighedSession, config: ClientConfig): Promise<OneSession> {
  if (contestant === 'postgres-js') {
    const sql = await connectPostgresJs(config, 1)
    return {
      query: (text, values) => sql.unsafe(text, values, { prepare: values !== undefined }),
      close: () => sql.end(),
    }
  }
  const options = { ...config, max: 1 }
  const pool = contestant === 'holdfast' ? new Pool(options) : new pg.Pool(options)
  return {
    query: async (text, values) => (await pool.query<object>(text, values && [...values])).rows,
    close: () => pool.end(),
  }
}
