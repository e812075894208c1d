import { checkPool, type LeasedClient, type Pool } from '@holdfast/core'
import type { PostgresPool } from 'kysely'
import type { Client } from 'pg'

const CONTROL_TIMEOUT_MILLIS = 5000

/**
 * The pool, as Kysely's driver uses it. `connect()` gives what `takeLeased` returns: a client that the caller has leased
 * already, or undefined.
 *
 * @throws {OptionsError} when it isn't a Holdfast pool.
 */
export function postgresPoolOn(pool: Pool, takeLeased: () => LeasedClient | undefined): PostgresPool {
  if (!pool.ending) checkPool('pool', pool) // A pool that has ended says so in `connect()`.
  return {
    Client: controlClientOf(pool) as never,
    options: pool.options,
    connect: async () => takeLeased() ?? (await pool.connect()),
    end: () => pool.end(),
  }
}

/** The class of the clients over which Kysely cancels queries and kills sessions. */
function controlClientOf(pool: Pool): typeof Client {
  return class ControlClient extends (pool as unknown as { readonly Client: typeof Client }).Client {
    constructor() {
      const { password, connectionString } = pool.options // Not enumerable. They lead to the host of the pool's connections.
      super({
        ...pool.options,
        password,
        connectionString,
        // While a cancellation hangs, Kysely keeps the connection whose query it cancels.
        connectionTimeoutMillis: CONTROL_TIMEOUT_MILLIS,
        query_timeout: CONTROL_TIMEOUT_MILLIS,
      })
      // Kysely listens for no error: the loss of this connection would end the process.
      this.on('error', () => {})
    }
  }
}
