import { Pool, type PoolOptions } from '@holdfast/core'
import { eq, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import type pg from 'pg'
import type { Database, Row, Subject, Tx } from '../subject.ts'

const entry = pgTable('entry', { id: text().primaryKey() })
const schema = { entry }

type Drizzle = Pick<NodePgDatabase<typeof schema>, 'execute' | 'insert' | 'transaction'>

/** Drizzle as its documentation sets it up, on whichever pool. */
export function drizzleOn(pool: pg.Pool, close: () => Promise<void>): Database {
  const db = drizzle({ client: pool, schema })
  const byId = db
    .select()
    .from(entry)
    .where(eq(entry.id, sql.placeholder('id')))
    .prepare('entry_by_id')
  return {
    pool,
    ...statementsOf(db),
    ids: async () => (await db.query.entry.findMany()).map(({ id }) => id),
    transaction: (fn, { isolationLevel } = {}) =>
      db.transaction(async (tx) => fn(txOf(tx), { attempt: 1 }), isolationLevel && { isolationLevel }),
    prepared: (id) => byId.execute({ id }),
    [Symbol.asyncDispose]: close,
  }
}

function statementsOf(db: Drizzle): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (text) => (await db.execute<Row>(sql.raw(text))).rows ?? [],
    insert: async (id) => void (await db.insert(entry).values({ id })),
  }
}

function txOf(tx: Drizzle): Tx {
  return { ...statementsOf(tx), savepoint: (fn) => tx.transaction((inner) => fn(txOf(inner))) }
}

/** drizzle-orm/node-postgres as it is, on our pool. */
export const subject: Subject = {
  name: 'stock Drizzle',
  module: import.meta.url,
  can: ['prepared'],
  retries: false,
  limits: ['lets zombies in'],
  open: async (options: PoolOptions) => {
    const pool = new Pool(options)
    return drizzleOn(pool, () => pool[Symbol.asyncDispose]())
  },
}
