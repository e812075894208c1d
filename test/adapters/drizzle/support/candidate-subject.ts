import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Row, Subject, Tx } from '../../subject.ts'
import { CANDIDATE } from './candidate.ts'

const { drizzle, eq, pgTable, withPoolOptions, sql, text } = CANDIDATE

const entry = pgTable('entry', { id: text().primaryKey() })

type Drizzle = Pick<NodePgDatabase<Record<string, unknown>>, 'execute' | 'insert' | 'transaction'>

function statementsOf(db: Drizzle): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (statement) => (await db.execute<Row>(sql.raw(statement))).rows ?? [],
    insert: async (id) => void (await db.insert(entry).values({ id })),
  }
}

function txOf(tx: Drizzle): Tx {
  return { ...statementsOf(tx), savepoint: (fn) => tx.transaction((inner) => fn(txOf(inner))) }
}

/** @holdfast/drizzle beside the release candidate of Drizzle 1.0. */
export const subject: Subject = {
  name: '@holdfast/drizzle on Drizzle 1.0',
  module: import.meta.url,
  can: ['prepared', 'runUntil'],
  retries: true,
  open: async (connection) => {
    const db = drizzle<Record<string, unknown>>({ connection })
    const id = sql.placeholder('id')
    const entryById = db.select().from(entry).where(eq(entry.id, id)).prepare('entry_by_id')
    return {
      pool: db.$client,
      ...statementsOf(db),
      ids: async () => (await db.select().from(entry)).map((row) => row.id),
      transaction: (fn, options) => db.transaction(async (tx, info) => fn(txOf(tx), info), options),
      prepared: (value) => entryById.execute({ id: value }),
      runUntil: (statement, signal) =>
        withPoolOptions({ signal }, async () => (await db.execute<Row>(sql.raw(statement))).rows),
      [Symbol.asyncDispose]: () => db.$client[Symbol.asyncDispose](),
    }
  },
}
