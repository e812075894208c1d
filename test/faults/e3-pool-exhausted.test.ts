import { ConnectError, PoolTimeoutError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection } from './support/settling.ts'

const TIMEOUT_MILLIS = 300
const PG_TEXT = 'timeout exceeded when trying to connect'

describe.each(WAYS)('the pool is exhausted, through $way', ({ run }) => {
  test('stock pg.Pool: the error of an exhausted pool does not say why', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1, connectionTimeoutMillis: TIMEOUT_MILLIS })
    await pool.connect()
    expect((await rejection(run(pool, 'select 1'))).message).toBe(PG_TEXT)
  })

  test('Holdfast: the error of an exhausted pool says which connections are in use', async ({ cluster, direct }) => {
    const timeouts = { connectionTimeoutMillis: TIMEOUT_MILLIS, prePing: { timeoutMillis: TIMEOUT_MILLIS / 2 } }
    await using pool = holdfast({ ...direct, max: 2, ...timeouts })
    const clients = [await pool.connect(), await pool.connect()]
    const pids = await Promise.all(clients.map(backendPid))

    const [first, second] = await Promise.all([rejection(run(pool, 'select 1')), rejection(run(pool, 'select 2'))])

    expect(first).toBeInstanceOf(PoolTimeoutError)
    expect(first.cause).toBeUndefined()
    expect(first).toMatchObject({
      code: 'HOLDFAST_POOL_TIMEOUT',
      details: {
        max: 2,
        leased: 2,
        idle: 0,
        opening: 0,
        waiting: 1,
        waitedMillis: expect.any(Number),
        longestLease: { backendPid: pids[0], heldMillis: expect.any(Number) },
      },
    })
    expect(first.message.startsWith(PG_TEXT)).toBe(true)
    expect(first.message).toContain('2 of 2 in use, 0 idle, 0 connecting, 1 waiting')
    expect(first.message).toContain(`backend ${pids[0]}`)
    expect(second).toMatchObject({ details: { waiting: 0 } })
    for (const client of clients) client.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: the error of a timeout says if the server is to blame', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 2, connectionTimeoutMillis: 1000 })
    proxy.refuse()
    const error = await rejection(run(pool, 'select 1'))
    expect(error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT', details: { leased: 0, max: 2 } })
    expect(error.message.startsWith(PG_TEXT)).toBe(true)
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.cause).toBeInstanceOf(ConnectError)
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED', endpoint: { host: proxy.host, port: proxy.port } })
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test("Holdfast: an earlier outage isn't blamed for an exhausted pool", async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1, connectionTimeoutMillis: 1000 })
    proxy.refuse()
    await rejection(run(pool, 'select 1'))
    await proxy.heal()
    const client = await pool.connect()
    const error = await rejection(run(pool, 'select 1'))
    expect(error).toMatchObject({ details: { leased: 1 } })
    expect(error.cause).toBeUndefined()
    client.release()
    await until(() => pool.idleCount === 1)
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})
