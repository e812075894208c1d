import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { expect } from 'vitest'
import { areAsMany, type Cluster, until } from '../../support/index.ts'
import { settles } from './settling.ts'

/**
 * What must hold after every fault: both ways to run a statement work, every slot is there again, nothing is left
 * open at the server, and what is acknowledged is written.
 */
export async function expectHealthy(pool: pg.Pool, cluster: Cluster, applicationName: string): Promise<void> {
  await settles(pool.query('select 1'), 'the next pool.query')
  const client = await settles(pool.connect(), 'the next pool.connect')
  try {
    await settles(client.query('select 1'), 'a statement of the next client')
  } finally {
    client.release()
  }
  const id = randomUUID()
  await settles(pool.query('insert into entry values ($1)', [id]), 'the next insert')
  expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
  await until(() => pool.idleCount === pool.totalCount, { what: 'all connections to be idle' })
  expect(pool.waitingCount).toBe(0)
  const queries = async (): Promise<string[]> => (await cluster.sessions({ applicationName })).map(({ query }) => query)
  await until(async () => areAsMany(await queries(), pool.totalCount), {
    what: 'the server to count as many sessions as the pool does',
  })
  // A session that is being ended in the background may still be there.
  await until(async () => (await cluster.sessions({ applicationName })).every(({ state }) => state === 'idle'), {
    what: 'all sessions to be idle at the server',
  })
}
