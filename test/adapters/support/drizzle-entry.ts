import { eq, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import type { Row, Tx } from '../subject.ts'

const entry = pgTable('entry', { id: text().primaryKey() })

/** The tables that Drizzle knows. */
export const schema = { entry }

type Db = NodePgDatabase<typeof schema>
type Drizzle = Pick<Db, 'execute' | 'insert' | 'transaction'>

/** Raw SQL, and the query builder of Drizzle. */
export function statementsOf(db: Drizzle): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (statement) => (await db.execute<Row>(sql.raw(statement))).rows ?? [],
    insert: async (id) => void (await db.insert(entry).values({ id })),
  }
}

/** A transaction of Drizzle's. */
export function txOf(tx: Drizzle): Tx {
  return { ...statementsOf(tx), savepoint: (fn) => tx.transaction((inner) => fn(txOf(inner))) }
}

/** All entries, by the relational builder. */
export async function idsOf(db: Pick<Db, 'query'>): Promise<string[]> {
  return (await db.query.entry.findMany()).map(({ id }) => id)
}

/** One entry, by a prepared statement. */
export function preparedOf(db: Pick<Db, 'select'>): (id: string) => Promise<Row[]> {
  const byId = db
    .select()
    .from(entry)
    .where(eq(entry.id, sql.placeholder('id')))
    .prepare('entry_by_id')
  return (id) => byId.execute({ id })
}
