import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { backendPid, countEvents, holdfast, warmUp } from '../faults/support/pools.ts'
import { until } from '../support/index.ts'

describe('min', () => {
  test('min idle connections are kept ready, on top of those in use', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, min: 3, max: 10 })
    const client = await pool.connect()
    await until(() => pool.idleCount === 3)
    expect(pool.totalCount).toBe(4)
    client.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('min connections that die are replaced before a caller asks', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, min: 3, max: 10 })
    await pool.query('select 1')
    await until(() => pool.idleCount === 3)
    const opened = countEvents(pool, 'connect')
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(() => opened() >= 3 && pool.idleCount === 3)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('min connections are opened only as far as max allows', async ({ direct }) => {
    await using pool = holdfast({ ...direct, min: 2, max: 2 })
    const clients = [await pool.connect(), await pool.connect()]
    expect(pool.totalCount).toBe(2)
    clients[0]?.release()
    expect(await backendPid(pool)).toBeGreaterThan(0)
    expect(pool.totalCount).toBe(2)
    clients[1]?.release()
  })
})

describe('idleTimeoutMillis', () => {
  test('idleTimeoutMillis closes a connection that was unused for so long', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, idleTimeoutMillis: 100, max: 3 })
    await warmUp(pool, 3)
    expect(pool.totalCount).toBe(3)
    await until(() => pool.totalCount === 0)
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('idleTimeoutMillis leaves min alone', async ({ direct }) => {
    await using pool = holdfast({ ...direct, idleTimeoutMillis: 100, min: 1, max: 3 })
    const pids = await warmUp(pool, 3)
    await until(() => pool.totalCount === 1)
    expect(pids).toContain(await backendPid(pool))
  })

  test('an idleTimeoutMillis of 0 keeps everything', async ({ direct }) => {
    await using brief = holdfast({ ...direct, idleTimeoutMillis: 50 })
    await using pool = holdfast({ ...direct, idleTimeoutMillis: 0 })
    await Promise.all([warmUp(brief, 2), warmUp(pool, 2)])
    await until(() => brief.totalCount === 0)
    expect(pool.totalCount).toBe(2)
  })
})

describe('maxUses', () => {
  test('maxUses closes a connection after so many leases', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, maxUses: 3 })
    const pids: number[] = []
    for (let lease = 1; lease <= 7; lease++) pids.push(await backendPid(pool))
    const [a, , , d, , , g] = pids
    expect(pids).toEqual([a, a, a, d, d, d, g])
    expect(new Set([a, d, g]).size).toBe(3)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('maxLifetimeSeconds', () => {
  test('maxLifetimeSeconds closes an old connection when it is released, not before', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, maxLifetimeSeconds: 0.2 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    await until(() => pool.expiredCount === 1)
    expect(await backendPid(client)).toBe(pid)
    client.release()
    expect([pool.totalCount, pool.expiredCount]).toEqual([0, 0])
    expect(await backendPid(pool)).not.toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('maxLifetimeSeconds closes an old connection that is idle', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 3, maxLifetimeSeconds: 0.2, idleTimeoutMillis: 0 })
    await warmUp(pool, 3)
    await until(() => pool.totalCount === 0)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
