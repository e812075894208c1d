import { withPoolOptions } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { sql } from 'drizzle-orm'
import type { Row, Subject } from '../subject.ts'
import { idsOf, preparedOf, schema, statementsOf, txOf } from '../support/drizzle-entry.ts'

/** @holdfast/drizzle, which makes its pool itself. */
export const subject: Subject = {
  name: '@holdfast/drizzle',
  module: import.meta.url,
  can: ['prepared', 'runUntil'],
  retries: true,
  open: async (connection) => {
    const db = drizzle({ connection, schema })
    return {
      pool: db.$client,
      ...statementsOf(db),
      ids: () => idsOf(db),
      transaction: (fn, options) => db.transaction(async (tx, info) => fn(txOf(tx), info), options),
      prepared: preparedOf(db),
      runUntil: (text, signal) => withPoolOptions({ signal }, async () => (await db.execute<Row>(sql.raw(text))).rows),
      [Symbol.asyncDispose]: () => db.$client[Symbol.asyncDispose](),
    }
  },
}
