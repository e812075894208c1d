import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { rejection } from './support/settling.ts'

class NotEnoughMoney extends Error {}

/** What a tracing wrapper (sqlcommenter, Query Insights) makes of every statement of an ORM. */
async function refusedTransaction(pool: pg.Pool, cluster: Cluster, rollback: string): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query("/* app='web' */ begin")
    try {
      await cluster.terminateBackends({ pid: await backendPid(client) })
      await until(() => client.connection.stream.destroyed)
      throw new NotEnoughMoney()
    } catch (error) {
      await client.query(rollback)
      throw error
    }
  } finally {
    client.release()
  }
}

describe('ROLLBACK with a comment on a lost connection', () => {
  test("stock pg.Pool: the rollback's error replaces the application's", async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    expect(await rejection(refusedTransaction(pool, cluster, 'rollback'))).not.toBeInstanceOf(NotEnoughMoney)
  })

  test.for([
    "rollback /* app='web' */",
    "/* app='web' */ rollback",
    '-- web\nrollback',
    '/* /* web */ */ rollback; -- done',
    'abort work and no chain',
  ])("Holdfast: the application's own error survives (%s)", async (rollback, { cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    expect(await rejection(refusedTransaction(pool, cluster, rollback))).toBeInstanceOf(NotEnoughMoney)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
