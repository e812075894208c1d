import { NullPool, type NullPoolOptions, type Pool } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { countEvents, StockPool, WAYS } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

function nullPool(options: NullPoolOptions): NullPool {
  return new NullPool({ closeTimeoutMillis: 500, connectionTimeoutMillis: 15_000, ...options })
}

const BACKEND = 'select pg_backend_pid() as pid'

async function expectNothingLeft(pool: Pool, cluster: Cluster, applicationName: string): Promise<void> {
  expect(pool.status()).toMatchObject({ size: 0, waiting: 0 })
  await until(async () => (await cluster.countSessions({ applicationName })) === 0)
}

describe.each(WAYS)('each request must open and close its own, through $way', ({ run }) => {
  test('stock pg.Pool: a pool keeps what it has opened', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 4 })
    const [one, other] = [await run(pool, BACKEND), await run(pool, BACKEND)]
    expect(one.rows).toEqual(other.rows)
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(1)
  })

  test('Holdfast: a NullPool has a backend per lease, gone afterwards', async ({ cluster, direct }) => {
    await using pool = nullPool({ ...direct, max: 4 })
    const pids: number[] = []
    for (let request = 1; request <= 3; request++) pids.push((await run(pool, BACKEND)).rows[0].pid)
    const atOnce = await Promise.all(Array.from({ length: 4 }, () => run(pool, BACKEND)))
    pids.push(...atOnce.map(({ rows }) => rows[0].pid))
    expect(new Set(pids).size).toBe(7)
    await expectNothingLeft(pool, cluster, direct.application_name)
  })

  test('Holdfast: max of a NullPool limits the connections, and all are served', async ({ cluster, direct }) => {
    await using pool = nullPool({ ...direct, max: 2 })
    const sizes: number[] = []
    pool.on('connect', () => sizes.push(pool.totalCount))
    const requests = Array.from({ length: 10 }, () => run(pool, BACKEND))
    const pids = (await settles(Promise.all(requests), 'the requests')).map(({ rows }) => rows[0].pid)
    expect(new Set(pids).size).toBe(10)
    expect(Math.max(...sizes)).toBe(2)
    await expectNothingLeft(pool, cluster, direct.application_name)
  })

  test('Holdfast: a restart between two requests is not noticed with a NullPool', async ({ cluster, direct }) => {
    await using pool = nullPool(direct)
    await run(pool, BACKEND)
    await cluster.restart('immediate')
    await settles(run(pool, BACKEND), 'the next request')
    await expectNothingLeft(pool, cluster, direct.application_name)
  })

  test('Holdfast: while the server is away, a request waits for it with a NullPool', async ({ cluster, direct }) => {
    await using pool = nullPool(direct)
    await cluster.stop()
    const failed = countEvents(pool, 'connect')
    const request = run(pool, BACKEND)
    await until(() => pool.waitingCount === 1)
    expect(failed()).toBe(0)
    await cluster.start()
    expect((await settles(request, 'the request')).rows).toHaveLength(1)
    await expectNothingLeft(pool, cluster, direct.application_name)
  })

  test('Holdfast: an open transaction goes with its session in a NullPool', async ({ cluster, direct }) => {
    await using pool = nullPool({ ...direct, max: 1 })
    await run(pool, "begin; insert into entry values ('left open')")
    expect((await run(pool, 'select from entry')).rowCount).toBe(0)
    await expectNothingLeft(pool, cluster, direct.application_name)
  })
})

describe('NullPool', () => {
  test('a NullPool rejects when a connection dies in use, and frees its slot', async ({ cluster, direct }) => {
    await using pool = nullPool({ ...direct, max: 1 })
    const client = await pool.connect()
    const { rows } = await client.query(BACKEND)
    await cluster.terminateBackends({ pid: rows[0].pid })
    expect(await rejection(client.query('select 1'))).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    await settles(pool.query('select 1'), 'the next request')
    client.release()
    await expectNothingLeft(pool, cluster, direct.application_name)
  })

  test('a NullPool opens nothing for a caller that has given up, and keeps no connection that came too late', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = nullPool({ ...proxied, max: 1, idleTimeoutMillis: 0 } as NullPoolOptions)
    proxy.delay(Number.POSITIVE_INFINITY)
    const controller = new AbortController()
    const request = pool.connect({ signal: controller.signal })
    await until(() => proxy.accepted === 1)
    controller.abort()
    expect(await rejection(request)).toMatchObject({ name: 'AbortError' })
    await proxy.heal()
    await until(() => pool.totalCount === 0)
    await expectNothingLeft(pool, cluster, proxied.application_name)
  })
})

test('a NullPool passes every check for a pool', async ({ direct }) => {
  await using pool = nullPool(direct)
  expect(pool).toBeInstanceOf(pg.Pool)
  expect(pool.constructor.name).toContain('Pool')
})
