import type { PoolOptions } from '@holdfast/core'
import { settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import type { Database, Statements, Subject, TransactionOptions } from '../subject.ts'

/** Opens a subject with timeouts as short as tests want them. */
export async function open(subject: Subject, options: PoolOptions): Promise<Database> {
  const database = subject.open({
    closeTimeoutMillis: 500,
    connectionTimeoutMillis: 15_000,
    prePing: { idleMillis: 0, timeoutMillis: 300 },
    ...options,
  })
  return settles(database, `opening ${subject.name}`)
}

/** What tells a subject that retries to run a transaction once; the others do it anyhow. */
export function once({ retries }: Subject): TransactionOptions {
  return retries ? { retry: false } : {}
}

/** What tells a subject that retries to do so without pauses to speak of. */
export const AGAIN: TransactionOptions = { retry: { retries: 3, minTimeout: 1, maxTimeout: 10 } }

/** Asks for {@link backendPid}. */
export const PID = 'select pg_backend_pid() as pid'

/** The process that serves whoever asks. */
export async function backendPid(statements: Statements): Promise<number> {
  const [row] = await statements.run(PID)
  return row?.pid as number
}

/** Lets so many come together before any of them goes on; whoever comes later passes. */
export function meeting(count: number): () => Promise<void> {
  let here = 0
  const { promise, resolve } = deferred<void>()
  return () => {
    if (++here === count) resolve()
    return promise
  }
}

/** Opens so many connections, and returns the process ids of their backends when all lie idle. */
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
