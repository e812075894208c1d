import { Pool } from 'pg'
import type { Service, StackSetup } from '../stack.ts'
import { AdvisedService } from './advised-service.ts'

/**
 * Stock pg.Pool with what its documentation offers against failures. Its example says 2000 for
 * `connectionTimeoutMillis` and 30000 for `idleTimeoutMillis`; the former is longer here, which is kinder to it.
 *
 * @see https://node-postgres.com/apis/pool
 * @see https://node-postgres.com/apis/client
 */
export function open({ connection, max, schema, queryTimeoutMillis }: StackSetup): Service {
  const pool = new Pool({
    ...connection,
    max,
    connectionTimeoutMillis: queryTimeoutMillis,
    idleTimeoutMillis: 30_000,
    query_timeout: queryTimeoutMillis,
    statement_timeout: queryTimeoutMillis,
    keepAlive: true,
  })
  // "You probably want to add an event listener to the pool to catch background errors!"
  pool.on('error', () => {})
  return new AdvisedService(pool, schema)
}
