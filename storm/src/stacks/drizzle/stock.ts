import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import type { Service, StackSetup } from '../stack.ts'
import { DrizzleService } from './drizzle-service.ts'

/**
 * Drizzle on stock pg.Pool, with nothing but its connection settings and `max`.
 *
 * @see https://orm.drizzle.team/docs/get-started-postgresql
 */
export function open({ connection, max, schema }: StackSetup): Service {
  const pool = new Pool({ ...connection, max })
  const db = drizzle({ client: pool })
  return new DrizzleService({ db, pool, schema, transact: (work) => db.transaction(work) })
}
