import { Pool, type PoolOptions } from '@holdfast/core'
import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { Database, Subject } from '../subject.ts'
import { idsOf, preparedOf, schema, statementsOf, txOf } from '../support/drizzle-entry.ts'

/** Drizzle as its documentation sets it up, on whichever pool. */
export function drizzleOn(pool: pg.Pool, close: () => Promise<void>): Database {
  const db = drizzle({ client: pool, schema })
  return {
    pool,
    ...statementsOf(db),
    ids: () => idsOf(db),
    transaction: (fn, { isolationLevel } = {}) =>
      db.transaction(async (tx) => fn(txOf(tx), { attempt: 1 }), isolationLevel && { isolationLevel }),
    prepared: preparedOf(db),
    [Symbol.asyncDispose]: close,
  }
}

/** drizzle-orm/node-postgres as it is, on our pool. */
export const subject: Subject = {
  name: 'stock Drizzle',
  module: import.meta.url,
  can: ['prepared'],
  retries: false,
  limits: ['keeps callbacks'],
  open: async (options: PoolOptions) => {
    const pool = new Pool(options)
    return drizzleOn(pool, () => pool[Symbol.asyncDispose]())
  },
}
