import net from 'node:net'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { Cluster, until } from '../support/index.ts'
import { type Attempts, countingClient } from './support/counting-client.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { settles } from './support/settling.ts'

const SIZE = 8
const CALLERS = 20
const ENOUGH_ATTEMPTS = 4

/** While it was away, one after the other; then each success allows twice as many at a time. */
function expectOneProbeThenPaced(attempts: Attempts): void {
  for (const { underWay, succeeded } of attempts.starts) expect(underWay).toBeLessThanOrEqual(2 ** succeeded)
}

describe.each(WAYS)('connections are refused for a while, through $way', ({ run }) => {
  test('stock pg.Pool: refused connections are an error for every caller', async ({ proxy, proxied }) => {
    await using pool = new StockPool({ ...proxied, max: SIZE })
    proxy.refuse()
    const results = await Promise.allSettled(Array.from({ length: CALLERS }, () => run(pool, 'select 1')))
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ECONNREFUSED' } })
  })

  test('Holdfast: one opening tries for all callers, and all are served', async ({ cluster, proxy, proxied }) => {
    const { Client, attempts } = countingClient()
    await using pool = holdfast({ ...proxied, max: SIZE, Client })
    proxy.refuse()
    const first = run(pool, 'select 1')
    await until(() => attempts.errors.length > 0)
    const others = Array.from({ length: CALLERS - 1 }, () => run(pool, 'select pg_sleep(0.02)'))
    await until(() => attempts.errors.length >= ENOUGH_ATTEMPTS)
    expect(attempts.errors.map(({ code }) => code)).toEqual(attempts.errors.map(() => 'ECONNREFUSED'))
    await proxy.heal()
    await settles(Promise.all([first, ...others]), 'the callers')
    expectOneProbeThenPaced(attempts)
    expect(attempts.succeeded).toBeGreaterThan(1)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: one opening tries for all when all connections are lost', async ({ cluster, proxy, proxied }) => {
    const { Client, attempts } = countingClient()
    await using pool = holdfast({ ...proxied, max: SIZE, Client })
    await warmUp(pool, SIZE)
    proxy.refuse()
    proxy.cut('rst')
    const callers = Array.from({ length: CALLERS }, () => run(pool, 'select pg_sleep(0.02)'))
    await until(() => attempts.errors.length >= ENOUGH_ATTEMPTS)
    const startsBefore = attempts.starts.length
    expect(attempts.starts.slice(SIZE).map(({ underWay }) => underWay)).toEqual(Array(startsBefore - SIZE).fill(1))
    await proxy.heal()
    await settles(Promise.all(callers), 'the callers')
    const paced = attempts.starts.slice(SIZE).map((start) => ({ ...start, succeeded: start.succeeded - SIZE }))
    expectOneProbeThenPaced({ ...attempts, starts: paced })
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

describe('the server shuts down, or starts up', () => {
  test('a server that shuts down or starts up: stock pg.Pool fails with 57P03, Holdfast serves after the restart', async () => {
    await using cluster = await Cluster.start()
    await using stock = new StockPool(cluster.config())
    const { Client, attempts } = countingClient()
    await using pool = holdfast({ ...cluster.config(), Client })
    // A smart shutdown waits for this session, and accepts no others.
    const last = new pg.Client(cluster.config())
    await last.connect()
    const stopped = cluster.stop('smart')
    await until(() => cluster.log.includes('received smart shutdown request'))

    await expect(stock.query('select 1')).rejects.toMatchObject({ code: '57P03' })
    const caller = pool.query('select 1 as one')
    await until(() => attempts.errors.length >= 2)
    expect(attempts.errors[0]).toMatchObject({ code: '57P03' })
    await last.end()
    await stopped
    await cluster.start()
    expect(await settles(caller, 'the caller')).toMatchObject({ rows: [{ one: 1 }] })
  })
})

describe('too many clients', () => {
  test('too many clients: stock pg.Pool fails with 53300, Holdfast serves when there is room', async () => {
    const settings = { max_connections: 6, superuser_reserved_connections: 3, reserved_connections: 0 }
    await using cluster = await Cluster.start({ settings })
    await using stock = new StockPool({ ...cluster.config(), max: 3 })
    await using pool = holdfast({ ...cluster.config(), max: 3 })
    await using others = new StockPool({ ...cluster.config(), max: 3 })
    await warmUp(others, 3)
    await expect(stock.query('select 1')).rejects.toMatchObject({ code: '53300' })

    const refusals = (): number => cluster.log.split('FATAL:  remaining connection slots are reserved').length - 1
    const before = refusals()
    const callers = Array.from({ length: CALLERS }, () => pool.query('select 1 as one'))
    await until(() => refusals() - before >= ENOUGH_ATTEMPTS)
    expect(pool.waitingCount).toBe(CALLERS)
    await others.end()
    const results = await settles(Promise.all(callers), 'the callers')
    expect(results.map(({ rows }) => rows)).toEqual(callers.map(() => [{ one: 1 }]))
  })
})

describe('a hiccup of the resolver', () => {
  test('Holdfast: a host name that has worked is tried again when it fails', async ({ cluster, direct }) => {
    let hiccups = false
    const { Client, attempts } = countingClient()
    const stream = (): net.Socket => {
      const socket = new net.Socket()
      if (hiccups)
        socket.connect = () =>
          socket.destroy(Object.assign(new Error('getaddrinfo ENOTFOUND db'), { code: 'ENOTFOUND' }))
      return socket
    }
    await using pool = holdfast({ ...direct, max: 2, Client, stream })
    await warmUp(pool, 2)
    hiccups = true
    await cluster.terminateBackends({ applicationName: direct.application_name })
    const caller = pool.query('select 1')
    await until(() => attempts.errors.length >= 2)
    expect(attempts.errors[0]).toMatchObject({ code: 'ENOTFOUND' })
    hiccups = false
    await settles(caller, 'the caller')
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
