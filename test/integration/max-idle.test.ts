import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { countEvents, holdfast, warmUp } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

describe('maxIdle', () => {
  test('maxIdle closes what is released on top of so many idle ones', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 6, maxIdle: 2 })
    const clients = await Promise.all(Array.from({ length: 6 }, () => pool.connect()))
    expect(pool.totalCount).toBe(6)
    for (const client of clients) client.release()
    expect([pool.totalCount, pool.idleCount]).toEqual([2, 2])
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 2)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('maxIdle keeps a connection that a caller waits for', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 3, maxIdle: 0, prePing: { idleMillis: 600_000 } })
    const opened = countEvents(pool, 'connect')
    const statements = Array.from({ length: 30 }, () => pool.query('select 1'))
    await settles(Promise.all(statements), 'the statements')
    expect(opened()).toBeLessThan(30)
    await until(() => pool.totalCount === 0)
  })

  test("maxIdle is SQLAlchemy's pool_size: the overflow comes and goes", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 4, maxIdle: 1 })
    await warmUp(pool, 4)
    expect(`${pool.status()}`).toContain('Pool size: 1  Connections in pool: 1 Current Overflow: 0')
    const clients = await Promise.all(Array.from({ length: 3 }, () => pool.connect()))
    expect(`${pool.status()}`).toContain('Current Overflow: 2 Current Checked out connections: 3')
    for (const client of clients) client.release()
  })

  test('without maxIdle, as many connections stay as there may be', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 4 })
    await warmUp(pool, 4)
    expect(pool.idleCount).toBe(4)
  })
})
