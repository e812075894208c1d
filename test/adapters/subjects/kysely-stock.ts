import { Pool } from '@holdfast/core'
import { CompiledQuery, Kysely, PostgresDialect, type PostgresPool, sql, type Transaction } from 'kysely'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import type { Database, Row, Subject, Tx } from '../subject.ts'

/** The tables that Kysely knows. */
export interface Tables {
  entry: { id: string }
}

/** Kysely as its documentation sets it up, on any pool. */
export function kyselyOn(pool: pg.Pool): Database {
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool as PostgresPool, cursor: Cursor }) })
  return {
    pool,
    ...statementsOf(db),
    ids: async () => (await db.selectFrom('entry').select('id').execute()).map(({ id }) => id),
    transaction: (fn, { isolationLevel } = {}) => {
      const builder = db.transaction()
      const chosen = isolationLevel ? builder.setIsolationLevel(isolationLevel as 'serializable') : builder
      return chosen.execute(async (tx) => fn(txOf(tx), { attempt: 1 }))
    },
    stream: (text) => rowsOf(db, text),
    begin: async () => {
      const tx = await db.startTransaction().execute()
      return {
        ...statementsOf(tx),
        // As Kysely's documentation shows it: roll back when the commit fails.
        commit: async () => {
          try {
            await tx.commit().execute()
          } catch (error) {
            await tx.rollback().execute()
            throw error
          }
        },
        rollback: async () => void (await tx.rollback().execute()),
      }
    },
    runUntil: async (text, signal) => {
      const options = { signal, inflightQueryAbortStrategy: 'cancel query' } as const
      return (await db.executeQuery<Row>(CompiledQuery.raw(text), options)).rows
    },
    // Ends the pool, but only if it was ever used.
    [Symbol.asyncDispose]: async () => {
      await db.destroy()
      if (!pool.ended) await pool.end()
    },
  }
}

/** Raw SQL, and the query builder of Kysely. */
export function statementsOf(db: Kysely<Tables>): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (text) => (await sql.raw<Row>(text).execute(db)).rows,
    insert: async (id) => void (await db.insertInto('entry').values({ id }).execute()),
  }
}

let lastSavepoint = 0

/** Kysely's transactions don't nest, so the application sends SAVEPOINT itself. */
function txOf(tx: Transaction<Tables>): Tx {
  return {
    ...statementsOf(tx),
    savepoint: async (fn) => {
      const name = `sp${++lastSavepoint}`
      await sql.raw(`savepoint ${name}`).execute(tx)
      try {
        const result = await fn(txOf(tx))
        await sql.raw(`release savepoint ${name}`).execute(tx)
        return result
      } catch (error) {
        await sql.raw(`rollback to savepoint ${name}`).execute(tx)
        throw error
      }
    },
  }
}

async function* rowsOf(db: Kysely<Tables>, text: string): AsyncIterable<Row> {
  // Kysely streams a select of its query builder, and not `sql.raw`.
  const rows = db.selectFrom(sql<Row>`(${sql.raw(text)})`.as('rows')).selectAll()
  yield* rows.stream(1) as AsyncIterable<Row>
}

/** Kysely's own PostgresDialect, on our pool. */
export const subject: Subject = {
  name: 'stock Kysely',
  module: import.meta.url,
  can: ['stream', 'begin', 'runUntil'],
  retries: false,
  limits: ['keeps waiters', 'hides callers'],
  open: async (options) => kyselyOn(new Pool(options)),
}
