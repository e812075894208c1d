import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { backendPid, countEvents, holdfast, warmUp } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

describe('dispose()', () => {
  test('dispose() publishes each connection that it closes, once', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 3 })
    await warmUp(pool, 3)
    const removed = countEvents(pool, 'remove')
    const client = await pool.connect()
    await pool.dispose()
    expect(removed()).toBe(2)
    client.release()
    await until(() => removed() === 3)
  })

  test('dispose() has min connections opened again, in the background', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, min: 2, max: 4 })
    await pool.query('select 1')
    await until(() => pool.idleCount === 2)
    const old = pool.inspect().map((each) => each.backendPid)
    await pool.dispose()
    await until(() => pool.idleCount === 2)
    for (const { backendPid: pid } of pool.inspect()) expect(old).not.toContain(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('dispose() resolves although a connection is leased without an end', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    await settles(pool.dispose(), 'dispose()')
    expect(await backendPid(client)).toBe(pid)
    client.release()
  })

  test('dispose() has the waiters served by new connections', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, prePing: { idleMillis: 0, timeoutMillis: 10_000 } })
    const pid = await backendPid(pool)
    const served = backendPid(pool) // Waits for the ping.
    expect(pool.status()).toMatchObject({ checking: 1, waiting: 1 })
    await pool.dispose()
    expect(await settles(served, 'whoever waited')).not.toBe(pid)
  })

  test('dispose() is not an end: listeners get no error, and end() works afterwards', async ({ cluster, direct }) => {
    const pool = holdfast({ ...direct, max: 2 })
    const errors: Error[] = []
    pool.on('error', (error) => errors.push(error))
    await warmUp(pool, 2)
    await pool.dispose()
    await warmUp(pool, 2)
    await pool.dispose({ close: false })
    await pool.query('select 1')
    await pool.end()
    expect(errors).toEqual([])
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(2)
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    expect(errors).toEqual([])
  })
})
