import { Pool } from '@holdfast/core' // Instead of pg's.
import { drizzle } from '@holdfast/drizzle' // Instead of drizzle-orm/node-postgres's.
import type { Service, StackSetup } from '../stack.ts'
import { DrizzleService } from './drizzle-service.ts'

/** The same on Holdfast; `retry` is all that is said against failures. */
export function open({ connection, max, schema }: StackSetup): Service {
  const pool = new Pool({ ...connection, max })
  const db = drizzle({ client: pool, retry: true })
  return new DrizzleService({ db, pool, schema, transact: (work) => db.transaction(work) })
}
