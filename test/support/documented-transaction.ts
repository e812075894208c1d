import type pg from 'pg'

/** A statement of a transaction. */
export type Step = readonly [statement: string | pg.QueryConfig, values?: unknown[]]

/** https://node-postgres.com/features/transactions, as it is written there. */
export async function documentedTransaction(pool: pg.Pool, ...steps: readonly Step[]): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    for (const [statement, values] of steps) await client.query(statement, values)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}
