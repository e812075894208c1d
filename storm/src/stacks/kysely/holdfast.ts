import { Pool } from '@holdfast/core' // Instead of pg's.
import { HoldfastDialect, withRetry } from '@holdfast/kysely' // Instead of Kysely's PostgresDialect.
import { Kysely } from 'kysely'
import type { Service, StackSetup } from '../stack.ts'
import type { Database } from './database.ts'
import { KyselyService } from './kysely-service.ts'

/** The same on Holdfast; `withRetry` is all that is said against failures. */
export function open({ connection, max, schema }: StackSetup): Service {
  const pool = new Pool({ ...connection, max })
  const db = new Kysely<Database>({ dialect: new HoldfastDialect({ pool }) }).withSchema(schema)
  return new KyselyService({ db, pool, schema, transact: (work) => withRetry(db.transaction()).execute(work) })
}
