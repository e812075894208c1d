import { type RunOptions, runTransaction } from '@holdfast/core'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { HoldfastDatabase, TransactionConfig, Work } from './database.ts'

type Transact = <Result>(work: (tx: unknown) => Promise<Result>, modes?: object) => Promise<Result>
type Config = TransactionConfig & { snapshot?: string } // In Drizzle 1.0.

/**
 * Puts `runTransaction` around the transactions of this database. On the instance: a subclass would depend on
 * constructors that aren't documented, and have changed in Drizzle 1.0.
 */
export function withRetry(db: NodePgDatabase, byDefault: RunOptions['retry'] = false): HoldfastDatabase {
  const { session } = db._
  const transact: Transact = session.transaction.bind(session)
  // The migrator of Drizzle 0.45 asks the session: that isn't retried, but what it leaks is released.
  const once: Transact = (fn, modes) => runTransaction((work) => transact(work, modes), fn, { retry: false })
  Object.assign(session, { transaction: once })

  async function transaction<Result>(fn: Work<unknown, Result>, config: Config = {}): Promise<Result> {
    const { isolationLevel, accessMode, deferrable, snapshot, ...options } = config
    const modes = { isolationLevel, accessMode, deferrable, snapshot }
    const given = Object.values(modes).some((mode) => mode !== undefined) ? modes : undefined
    return runTransaction((work) => transact(work, given), fn, { ...options, retry: options.retry ?? byDefault })
  }
  return Object.assign(db, { transaction }) as unknown as HoldfastDatabase
}
