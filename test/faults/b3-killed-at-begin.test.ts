import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const SIZE = 2

/** As Drizzle 0.45 does it: BEGIN comes before the `try`, so if it fails, the client is never released. */
async function begin(pool: pg.Pool, cluster: Cluster): Promise<void> {
  const client = await pool.connect()
  const pid = await backendPid(client)
  // Frozen, so that BEGIN is under way when the session ends.
  await cluster.freezeBackend(pid)
  const failed = rejection(client.query('begin'))
  await cluster.terminateBackends({ pid })
  await cluster.thawBackend(pid)
  const error = await failed
  await until(async () => (await cluster.countSessions({ pid })) === 0)
  throw error
}

describe('killed at BEGIN, and never released', () => {
  test('stock pg.Pool: clients killed at BEGIN and never released lose their slots', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: SIZE })
    for (let time = 1; time <= SIZE; time++) await rejection(begin(pool, cluster))
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(0)
    expect({ total: pool.totalCount, idle: pool.idleCount }).toEqual({ total: SIZE, idle: 0 })
    const next = unattended(pool.connect())
    await cluster.query('select 1')
    expect(await isPending(next)).toBe(true)
  })

  test('Holdfast: clients killed at BEGIN and never released free their slots', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: SIZE })
    for (let time = 1; time <= 2 * SIZE; time++) {
      expect(await rejection(begin(pool, cluster))).toMatchObject({
        name: 'ConnectionLostError',
        code: '57P01',
        phase: 'transaction',
        commitOutcome: 'aborted',
      })
    }
    const clients = await settles(Promise.all([pool.connect(), pool.connect()]), 'as many clients as there are slots')
    for (const client of clients) client.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
