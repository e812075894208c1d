import type { Pool } from '@holdfast/core'
import type { PostgresPool } from 'kysely'
import type { Client } from 'pg'

/** While a cancellation hangs, Kysely keeps the connection whose query it was for. */
const DEADLINES = { connectionTimeoutMillis: 5000, query_timeout: 5000 }

/** The pool as Kysely uses it: its `Client` cancels queries, and is listened to by nobody. */
export function lend(pool: Pool): PostgresPool {
  const { options } = pool
  const { password } = options // Not enumerable.
  class ControlClient extends (pool as unknown as { readonly Client: typeof Client }).Client {
    constructor() {
      super({ ...options, password, ...DEADLINES })
      // A cut would end the process.
      this.on('error', () => {})
    }
  }
  return { Client: ControlClient as never, options, connect: () => pool.connect(), end: () => pool.end() }
}
