import { isSelect, type Pool, type RunOptions, runTransaction } from '@holdfast/core'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { HoldfastDatabase, TransactionConfig, TransactionFunction } from './database.ts'

/*
 * Everything that is changed in Drizzle is in this file. It was written for drizzle-orm >=0.45 <0.46 and
 * >=1.0.0-rc.5 <2, and read in 0.45.4 and 1.0.0-rc.5. The methods are replaced on the database and on its session, `db._.session`:
 * a subclass would depend on constructors that aren't documented, and that 1.0 has changed.
 *
 * 1. `db.transaction` has no `retry`, and keeps its connection when BEGIN is refused (0.45). So `runTransaction` is put
 *    around it (`retryTransactions`). Drizzle 0.45's migrator calls `session.transaction` instead: that isn't retried,
 *    and its connection is released.
 *    If Drizzle changes this, test/adapters/drizzle/transaction.test.ts fails.
 * 2. A session sends each statement once. So statements that only read are prepared by a second session, whose client is
 *    `pool.query` with `idempotent` (`sendSelectsAgain`). `prepareQuery` prepares every statement except that of 0.45's
 *    `session.count`, so both methods are replaced.
 *    If Drizzle changes this, test/adapters/drizzle/idempotent-selects.test.ts fails.
 */

type SessionTransaction = <Result>(fn: (tx: unknown) => Promise<Result>, config?: object) => Promise<Result>
type ConfigOf1 = TransactionConfig & { snapshot?: string }

/** Makes `db.transaction` take `retry` and the other options. `retry` holds for transactions that don't say otherwise. */
export function retryTransactions(db: NodePgDatabase, retry: RunOptions['retry'] = false): HoldfastDatabase {
  const { session } = db._
  const transact: SessionTransaction = session.transaction.bind(session)
  const transactOnce: SessionTransaction = (fn, config) =>
    runTransaction((run) => transact(run, config), fn, { retry: false })
  Object.assign(session, { transaction: transactOnce })

  async function transaction<Result>(
    fn: TransactionFunction<unknown, Result>,
    config: ConfigOf1 = {},
  ): Promise<Result> {
    const { isolationLevel, accessMode, deferrable, snapshot, ...options } = config
    const modes = { isolationLevel, accessMode, deferrable, snapshot }
    // Drizzle takes any object for modes, and then sends SQL for them.
    const ofDrizzle = Object.values(modes).some((mode) => mode !== undefined) ? modes : undefined
    return runTransaction((run) => transact(run, ofDrizzle), fn, { ...options, retry: options.retry ?? retry })
  }
  return Object.assign(db, { transaction }) as unknown as HoldfastDatabase
}

type PrepareQuery = (query: { readonly sql: string }, ...how: unknown[]) => unknown
interface Session {
  prepareQuery: PrepareQuery
  /** Only in 0.45. */
  count?: (...statement: unknown[]) => Promise<number>
}

/** Sends SELECTs of the query builder again when their connection was lost. */
export function sendSelectsAgain(db: NodePgDatabase, pool: Pool): void {
  const session = db._.session as unknown as Session
  const { prepareQuery, count } = session
  const query = (config: object, values: unknown[]) => pool.query({ ...config, idempotent: true } as never, values)
  const idempotentSession: Session = Object.assign(Object.create(session), { client: { query }, prepareQuery })
  const prepare: PrepareQuery = (statement, ...how) =>
    prepareQuery.call(isBuiltSelect(statement, how) ? idempotentSession : session, statement, ...how)
  Object.assign(session, { prepareQuery: prepare }, count && { count: count.bind(idempotentSession) })
}

/**
 * Whether the query builder has made this statement, and it only reads. Drizzle passes the type of each statement for its cache,
 * except for relational queries of 0.45 and `$count` of 1.0. Those have a function that maps their rows.
 */
function isBuiltSelect({ sql }: { readonly sql: string }, how: readonly unknown[]): boolean {
  const metadata = how.find(hasType)
  const reads = metadata ? metadata.type === 'select' : how.some((each) => typeof each === 'function')
  return reads && isSelect(sql) // A SELECT may have common table expressions that write.
}

function hasType(value: unknown): value is { readonly type: string } {
  return typeof value === 'object' && value !== null && 'type' in value
}
