import { integer, pgSchema, text } from 'drizzle-orm/pg-core'

/** The service's tables, in one schema. */
export function tablesIn(name: string) {
  const schema = pgSchema(name)
  return {
    account: schema.table('account', { id: integer().primaryKey(), balance: integer().notNull() }),
    ledger: schema.table('ledger', {
      key: text().notNull(),
      phase: integer().notNull(),
      debited: integer().notNull(),
      credited: integer().notNull(),
      amount: integer().notNull(),
    }),
    entry: schema.table('entry', { key: text().notNull(), phase: integer().notNull() }),
  }
}
