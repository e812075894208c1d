import { scope } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { eq, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import type { Row, Subject, Tx } from '../subject.ts'

const entry = pgTable('entry', { id: text().primaryKey() })
const schema = { entry }

type Drizzle = Pick<NodePgDatabase<typeof schema>, 'execute' | 'insert' | 'transaction'>

function statementsOf(db: Drizzle): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (text) => (await db.execute<Row>(sql.raw(text))).rows ?? [],
    insert: async (id) => void (await db.insert(entry).values({ id })),
  }
}

function txOf(tx: Drizzle): Tx {
  return { ...statementsOf(tx), savepoint: (fn) => tx.transaction((inner) => fn(txOf(inner))) }
}

/** @holdfast/drizzle, which makes its pool itself. */
export const subject: Subject = {
  name: '@holdfast/drizzle',
  module: import.meta.url,
  can: ['prepared', 'runUntil'],
  retries: true,
  open: async (connection) => {
    const db = drizzle({ connection, schema })
    const entryById = db
      .select()
      .from(entry)
      .where(eq(entry.id, sql.placeholder('id')))
      .prepare('entry_by_id')
    return {
      pool: db.$client,
      ...statementsOf(db),
      ids: async () => (await db.query.entry.findMany()).map(({ id }) => id),
      transaction: (fn, options) => db.transaction(async (tx, info) => fn(txOf(tx), info), options),
      prepared: (id) => entryById.execute({ id }),
      runUntil: (text, signal) => scope({ signal }, async () => (await db.execute<Row>(sql.raw(text))).rows),
      [Symbol.asyncDispose]: () => db.$client[Symbol.asyncDispose](),
    }
  },
}
