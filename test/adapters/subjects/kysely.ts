import { Pool } from '@holdfast/core'
import { HoldfastDialect, withRetry } from '@holdfast/kysely'
import { CompiledQuery, type ControlledTransaction, Kysely, sql, type Transaction } from 'kysely'
import type { Row, Subject, Tx } from '../subject.ts'
import { statementsOf, type Tables } from './kysely-stock.ts'

let lastSavepoint = 0

/** The application sends SAVEPOINT itself, since Kysely has savepoints for controlled transactions only. */
function txOf(trx: Transaction<Tables>): Tx {
  return {
    ...statementsOf(trx),
    savepoint: async (fn) => {
      const name = sql.id(`sp${++lastSavepoint}`)
      await sql`savepoint ${name}`.execute(trx)
      try {
        const result = await fn(txOf(trx))
        await sql`release savepoint ${name}`.execute(trx)
        return result
      } catch (error) {
        await sql`rollback to savepoint ${name}`.execute(trx)
        throw error
      }
    },
  }
}

/** With the adapter, a commit that fails needs no rollback: the connection is released. */
function controlledOf(trx: ControlledTransaction<Tables>) {
  return {
    ...statementsOf(trx),
    commit: async () => void (await trx.commit().execute()),
    rollback: async () => void (await trx.rollback().execute()),
  }
}

/** Kysely with `HoldfastDialect`, and `withRetry` around its transactions. */
export const subject: Subject = {
  name: 'Kysely',
  module: import.meta.url,
  can: ['stream', 'begin', 'runUntil'],
  retries: true,
  open: async (options) => {
    const pool = new Pool(options)
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ pool }) })
    return {
      pool,
      ...statementsOf(db),
      ids: async () => (await db.selectFrom('entry').select('id').execute()).map(({ id }) => id),
      transaction: (fn, { isolationLevel, ...options } = {}) => {
        const builder = db.transaction()
        const chosen = isolationLevel ? builder.setIsolationLevel(isolationLevel as 'serializable') : builder
        return withRetry(chosen, options).execute((trx, info) => fn(txOf(trx), info))
      },
      stream: (text) =>
        db
          .selectFrom(sql<Row>`(${sql.raw(text)})`.as('rows'))
          .selectAll()
          .stream(1) as AsyncIterable<Row>,
      begin: async () => controlledOf(await db.startTransaction().execute()),
      runUntil: async (text, signal) => {
        const options = { signal, inflightQueryAbortStrategy: 'cancel query' } as const
        return (await db.executeQuery<Row>(CompiledQuery.raw(text), options)).rows
      },
      // Ends the pool, but only if it was ever used.
      [Symbol.asyncDispose]: async () => {
        await db.destroy()
        await pool[Symbol.asyncDispose]()
      },
    }
  },
}
