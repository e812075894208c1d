/** The SQL of the service, for one schema. */
export interface Statements {
  readonly read: string
  readonly slowRead: string
  readonly write: string
  readonly withdraw: string
  readonly deposit: string
  readonly record: string
}

/** Names every table with its schema, so that no session setting is needed, and none can get lost. */
export function statements(schema: string): Statements {
  return {
    read: `select balance from ${schema}.account where id = $1`,
    slowRead: `select count(*), pg_sleep(0.02) from ${schema}.account where id < 100`,
    write: `insert into ${schema}.entry (key, phase) values ($1, $2)`,
    withdraw: `update ${schema}.account set balance = balance - $1 where id = $2 returning balance`,
    deposit: `update ${schema}.account set balance = balance + $1 where id = $2`,
    record: `insert into ${schema}.ledger (key, phase, debited, credited, amount) values ($1, $2, $3, $4, $5)`,
  }
}
