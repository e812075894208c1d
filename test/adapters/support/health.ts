import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { settles } from '../../faults/support/settling.ts'
import { areAsMany, type Cluster, until } from '../../support/index.ts'
import type { Database } from '../subject.ts'

/** Where a database has its sessions. */
export interface Place {
  readonly cluster: Cluster
  readonly applicationName: string
}

const STATES = `select state, query from pg_stat_activity where application_name = $1 and backend_type = 'client backend'`

/**
 * What must hold after every fault: the next statement and the next transaction succeed, other sessions see what they wrote,
 * every slot is free, and nothing is left open at the server.
 */
export async function expectHealthy(database: Database, { cluster, applicationName }: Place): Promise<void> {
  const { pool } = database
  const [plain, inTransaction, inSavepoint] = [randomUUID(), randomUUID(), randomUUID()]
  await settles(database.run('select 1'), 'the next statement')
  const transaction = database.transaction(async (tx) => {
    await tx.insert(inTransaction)
    await tx.savepoint((inner) => inner.insert(inSavepoint))
  })
  await settles(transaction, 'the next transaction')
  await settles(database.insert(plain), 'the next insert')
  expect(await settles(database.ids(), 'the next select')).toContain(plain)
  // One session for all questions, since this runs after every test.
  await cluster.withAdmin(async (admin) => {
    const { rowCount } = await admin.query('select from entry where id = any($1)', [
      [plain, inTransaction, inSavepoint],
    ])
    expect(rowCount).toBe(3)
    await until(() => pool.idleCount === pool.totalCount, { what: 'all connections to be idle' })
    expect(pool.waitingCount).toBe(0)
    const sessions = async (): Promise<{ readonly state: string; readonly query: string }[]> =>
      (await admin.query(STATES, [applicationName])).rows
    await until(
      async () =>
        areAsMany(
          (await sessions()).map(({ query }) => query),
          pool.totalCount,
        ),
      {
        what: 'the server to count as many sessions as the pool does',
      },
    )
    // A session that the pool ends in the background may still be there.
    await until(async () => (await sessions()).every(({ state }) => state === 'idle'), {
      what: 'all sessions to be idle at the server',
    })
  })
}

/** Those of these entries that another session finds. */
export async function written(cluster: Cluster, ...ids: readonly string[]): Promise<string[]> {
  const rows = await cluster.query<{ id: string }>('select id from entry where id = any($1) order by id', [ids])
  return rows.map(({ id }) => id)
}

/** Ends a session, and waits until it is gone. */
export async function kill(cluster: Cluster, pid: number): Promise<void> {
  await cluster.terminateBackends({ pid })
  await until(async () => (await cluster.countSessions({ pid })) === 0, { what: 'the killed session to be gone' })
}

/** Ends the session of a leased connection, and waits until the pool has noticed. */
export async function killAndTell(database: Database, cluster: Cluster, pid: number): Promise<void> {
  const { pool } = database
  const before = pool.totalCount
  await kill(cluster, pid)
  await until(() => pool.totalCount < before, { what: 'the pool to notice' })
}

/** Waits until a server process runs such a statement. Resolves with its pid. */
export async function busyBackend({ cluster, applicationName }: Place, part = ''): Promise<number> {
  return until(
    async () => {
      const sessions = await cluster.sessions({ applicationName, state: 'active' })
      return sessions.find(({ query }) => query.includes(part))?.pid
    },
    { what: `a session that runs ${part || 'anything'}` },
  )
}
