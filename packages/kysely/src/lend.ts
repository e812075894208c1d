import { checkPool, type LeasedClient, type Pool } from '@holdfast/core'
import type { PostgresPool } from 'kysely'
import type { Client } from 'pg'

/** The pool as Kysely uses it, with what `leased` answers: its `Client` cancels queries, and is listened to by nobody. */
export function lend(pool: Pool, leased: () => LeasedClient | undefined): PostgresPool {
  if (!pool.ending) checkPool('pool', pool) // One that has ended tells so itself.
  const { password, connectionString } = pool.options // Not enumerable.
  class ControlClient extends (pool as unknown as { readonly Client: typeof Client }).Client {
    constructor() {
      // While a cancellation hangs, Kysely keeps the connection whose query it was for.
      super({ ...pool.options, password, connectionString, connectionTimeoutMillis: 5000, query_timeout: 5000 })
      // A cut would end the process.
      this.on('error', () => {})
    }
  }
  return {
    Client: ControlClient as never,
    options: pool.options,
    connect: async () => leased() ?? (await pool.connect()),
    end: () => pool.end(),
  }
}
