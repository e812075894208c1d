import type { PoolOptions } from '@holdfast/core'
import { settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import type { Database, Statements, Subject, TransactionOptions } from '../subject.ts'

/** Opens a subject with short timeouts. */
export async function open(subject: Subject, options: PoolOptions): Promise<Database> {
  const database = subject.open({
    closeTimeoutMillis: 500,
    connectionTimeoutMillis: 15_000,
    prePing: { idleMillis: 0, timeoutMillis: 300 },
    ...options,
  })
  return settles(database, `opening ${subject.name}`)
}

/** The options that make a subject that retries run a transaction once. The other subjects do so without them. */
export function once({ retries }: Subject): TransactionOptions {
  return retries ? { retry: false } : {}
}

/** The options that make a subject retry almost without delay. */
export const AGAIN: TransactionOptions = { retry: { retries: 3, minTimeout: 1, maxTimeout: 10 } }

/** The statement of {@link backendPid}. */
export const PID = 'select pg_backend_pid() as pid'

/** The pid of the server process that runs this statement. */
export async function backendPid(statements: Statements): Promise<number> {
  const [row] = await statements.run(PID)
  return row?.pid as number
}

/** A barrier: its promise resolves when the function was called `count` times. */
export function meeting(count: number): () => Promise<void> {
  let arrived = 0
  const { promise, resolve } = deferred<void>()
  return () => {
    if (++arrived === count) resolve()
    return promise
  }
}

/** Opens `count` connections, and resolves with the pids of their backends when all are idle. */
export async function warmUp(database: Database, count: number): Promise<number[]> {
  const meet = meeting(count)
  const one = (): Promise<number> =>
    database.transaction(async (tx) => {
      const pid = await backendPid(tx)
      await meet()
      return pid
    })
  return settles(Promise.all(Array.from({ length: count }, one)), `${count} transactions at a time`)
}
