import { Kysely, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import type { Service, StackSetup } from '../stack.ts'
import type { Database } from './database.ts'
import { KyselyService } from './kysely-service.ts'

/**
 * Kysely on stock pg.Pool, with nothing but its connection settings and `max`.
 *
 * @see https://kysely.dev/docs/getting-started
 */
export function open({ connection, max, schema }: StackSetup): Service {
  const pool = new Pool({ ...connection, max })
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) }).withSchema(schema)
  return new KyselyService({ db, pool, schema, transact: (work) => db.transaction().execute(work) })
}
