import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { isPending, settles, unattended } from './support/settling.ts'

const WARM = 5
const MAX = 30
const REQUESTS = 50

describe.each(WAYS)('fifty requests at once on five warm connections, through $way', ({ run }) => {
  test('stock pg.Pool: each waiter of a spike waits for a new connection of its own', async ({ proxy, proxied }) => {
    await using pool = new StockPool({ ...proxied, max: MAX })
    await warmUp(pool, WARM)
    proxy.onLink((link) => link.delay(Number.POSITIVE_INFINITY))
    const requests = Array.from({ length: REQUESTS }, () => unattended(run(pool, 'select 1')))
    // Callers that were not tied are served, and the warm connections are idle again.
    await settles(Promise.race(requests), 'any of them')
    await settles(Promise.all([pool.query('select 1'), pool.query('select 1')]), 'those who came later')
    expect(pool.totalCount).toBe(MAX)
    const pending = await Promise.all(requests.map(isPending))
    expect(pending.filter(Boolean).length).toBeGreaterThanOrEqual(MAX - WARM)
  })

  test('Holdfast: in a spike all are served by the warm connections when the new ones do not come', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, max: MAX })
    await warmUp(pool, WARM)
    const unsubscribe = proxy.onLink((link) => link.delay(Number.POSITIVE_INFINITY))
    const requests = Array.from({ length: REQUESTS }, () => run(pool, 'select 1'))
    await settles(Promise.all(requests), 'all of them')
    expect(pool.waitingCount).toBe(0)
    expect(pool.idleCount).toBe(WARM)
    // Nobody had to see a new one fail first.
    expect(pool.status().opening).toBe(MAX - WARM)
    unsubscribe()
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: in a spike a new connection serves the first waiter, not the one that it was opened for', async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const holder = await pool.connect()
    const holderPid = await backendPid(holder)
    // Opened for the first waiter, which the released one serves meanwhile; so it serves the second waiter.
    const order: string[] = []
    const first = run(pool, 'select pg_backend_pid() as pid').then(({ rows }) => order.push('first') && rows[0].pid)
    holder.release()
    const second = run(pool, 'select pg_backend_pid() as pid, pg_sleep(0.05)').then(() => order.push('second'))
    expect(await first).toBe(holderPid)
    await second
    expect(order).toEqual(['first', 'second'])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
