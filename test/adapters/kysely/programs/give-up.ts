import { once } from 'node:events'
import { Pool } from '@holdfast/core'
import { HoldfastDialect } from '@holdfast/kysely'
import { Kysely, PostgresDialect, sql } from 'kysely'
import type { PoolConfig } from 'pg'

/** Runs a query that never ends, cancels it when it gets a message, and exits. Sets no listener for errors. */

const { dialect, config } = JSON.parse(process.argv[2] ?? '') as { dialect: 'stock' | 'holdfast'; config: PoolConfig }
const pool = new Pool(config as object)
const db = new Kysely({ dialect: dialect === 'stock' ? new PostgresDialect({ pool }) : new HoldfastDialect({ pool }) })

const controller = new AbortController()
const options = { signal: controller.signal, inflightQueryAbortStrategy: 'cancel query' } as const
const query = sql`select pg_sleep('infinity')`.execute(db, options)
const [told] = await Promise.all([
  query.catch(() => 'given up'),
  once(process, 'message').then(() => controller.abort()),
])
if (told !== 'given up') throw new Error('It should have been given up')
// The cancellation is under way. The next statement waits for the connection until it is done.
await sql`select 1`.execute(db)
await db.destroy()
process.disconnect()
