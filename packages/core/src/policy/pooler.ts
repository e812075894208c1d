import type { OwnOptions } from '../options/pool-options.ts'
import { readSql } from '../sql/statement.ts'

/**
 * What is in front of the server: nothing (`none`), a pooler that gives each connection (`session`) or each transaction
 * (`transaction`) a session of the server, or `some` pooler, which may do either. `unknown`: nothing has shown it so far.
 */
export type PoolerKind = 'unknown' | 'none' | 'some' | 'session' | 'transaction'

/** A pooler was found: see the event `pooler-found`. */
export interface FoundPooler {
  readonly pooler: 'some' | 'transaction'
  readonly by: 'process' | 'words'
  /** The option `pooler`. */
  readonly option: NonNullable<OwnOptions['pooler']>
}

/**
 * What needs a session of its own, beyond the end of a transaction:
 *
 * - `listen`: LISTEN. Where each transaction gets another session, nothing is heard.
 * - `lock`: an advisory lock of the session. Another client inherits it, and it can't be given back.
 * - `reset`: `resetOnReturn: 'session'` or `'discard'`. It cleans another session than was used.
 */
export type SessionNeed = 'listen' | 'lock' | 'reset'

const SESSION_LOCK = /^pg_(?:try_)?advisory_lock(?:_shared)?$/

/** What this text needs a session for, if it says so itself: not in a function, nor in a query that also writes. */
export function sessionNeedOf(text: string): SessionNeed | undefined {
  const { statements, otherFunctions } = readSql(text)
  if (statements.some(({ name }) => name === 'listen')) return 'listen'
  return otherFunctions?.some(({ name }) => SESSION_LOCK.test(name)) ? 'lock' : undefined
}
