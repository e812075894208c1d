import { EntitySchema } from 'typeorm'

/** An account. */
export interface Account {
  id: number
  balance: number
}

/** A transfer that was made. */
export interface Ledger {
  key: string
  phase: number
  debited: number
  credited: number
  amount: number
}

/** A row that was written by itself. */
export interface Entry {
  key: string
  phase: number
}

const integer = { type: 'integer' } as const
const key = { type: 'text', primary: true } as const // TypeORM wants one; the tables have none, see createSchema().

/** For TypeORM's `entities`. */
export const account: EntitySchema<Account> = new EntitySchema<Account>({
  name: 'account',
  columns: { id: { ...integer, primary: true }, balance: integer },
})
/** For TypeORM's `entities`. */
export const ledger: EntitySchema<Ledger> = new EntitySchema<Ledger>({
  name: 'ledger',
  columns: { key, phase: integer, debited: integer, credited: integer, amount: integer },
})
/** For TypeORM's `entities`. */
export const entry: EntitySchema<Entry> = new EntitySchema<Entry>({ name: 'entry', columns: { key, phase: integer } })
