import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool, socketsOf, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const CLOSE_TIMEOUT_MILLIS = 300

describe('end() with connections that do not answer', () => {
  test('end() of stock pg.Pool leaves silent sockets open, and that of Holdfast none', async ({ proxy, proxied }) => {
    await using stock = new StockPool({ ...proxied, max: 2 })
    const pool = holdfast({ ...proxied, max: 2, closeTimeoutMillis: CLOSE_TIMEOUT_MILLIS })
    await warmUp(stock, 2)
    const stockLinks = proxy.links
    await warmUp(pool, 2)
    const links = proxy.links.filter((link) => !stockLinks.includes(link))
    proxy.swallow({ connections: 'existing' })
    const stockSockets = socketsOf(stock)
    stock.end().catch(() => {})
    await settles(pool.end(), 'end()')
    await settles(Promise.all(links.map((link) => link.clientLeft)), 'the sockets of Holdfast')
    expect(stockSockets.map(({ destroyed }) => destroyed)).toEqual([false, false])
    expect([pool.totalCount, pool.idleCount, pool.ended]).toEqual([0, 0, true])
    for (const socket of stockSockets) socket.destroy()
  })

  test('end() of stock pg.Pool leaves the process running, unlike that of Holdfast', async ({ proxy, proxied }) => {
    await using stock = await Application.start('stock', proxied)
    await using application = await Application.start('holdfast', {
      ...proxied,
      closeTimeoutMillis: CLOSE_TIMEOUT_MILLIS,
    })
    for (const each of [stock, application]) await each.query('select 1')
    proxy.swallow({ connections: 'existing' })
    stock.end().catch(() => {})
    await application.end()
    stock.leave()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
    expect(stock.isRunning).toBe(true)
  })

  test('Holdfast: leased connections that are never released do not keep end()', async ({ proxy, proxied }) => {
    await using application = await Application.start('holdfast', {
      ...proxied,
      closeTimeoutMillis: CLOSE_TIMEOUT_MILLIS,
    })
    await application.connect('idle')
    await application.connect('busy')
    const running = rejection(application.clientQuery("select pg_sleep('infinity')", 'busy'))
    proxy.swallow({ connections: 'existing' })
    await application.end()
    expect(await running).toMatchObject({ name: 'ConnectionLostError', phase: 'query' })
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test.for(WAYS)(
    'Holdfast: a statement that is killed while the pool ends says so, through $way',
    async ({ run }, { cluster, direct }) => {
      const pool = holdfast({ ...direct, max: 1 })
      const running = rejection(run(pool, 'select pg_sleep(60)'))
      const found: { pid: number }[] = []
      await until(async () => {
        found.push(...(await cluster.sessions({ applicationName: direct.application_name, state: 'active' })))
        return found.length > 0
      })
      const ended = pool.end()
      await cluster.query('select pg_terminate_backend($1)', [found[0]?.pid])
      expect((await settles(running, 'the statement')).message).toMatch(/not run again: the pool is closed$/)
      await settles(ended, 'end()')
    },
  )

  test('Holdfast: end() refuses waiters, and gives up attempts to connect', async ({ proxy, proxied }) => {
    await using application = await Application.start('holdfast', {
      ...proxied,
      closeTimeoutMillis: CLOSE_TIMEOUT_MILLIS,
    })
    proxy.swallow({ connections: 'new' })
    const waiting = rejection(application.query('select 1'))
    await until(() => proxy.accepted === 1)
    await application.end()
    expect(await waiting).toMatchObject({ name: 'PoolClosedError', code: 'HOLDFAST_POOL_CLOSED' })
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test('Holdfast: end() gives up the opening that tries while the server refuses', async ({ proxy, proxied }) => {
    await using application = await Application.start('holdfast', {
      ...proxied,
      closeTimeoutMillis: CLOSE_TIMEOUT_MILLIS,
    })
    proxy.refuse()
    const waiting = rejection(application.query('select 1'))
    await until(async () => (await application.counts()).waiting === 1)
    await application.end()
    expect(await waiting).toMatchObject({ name: 'PoolClosedError' })
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test('Holdfast: dead connections do not keep end()', async ({ proxy, proxied }) => {
    await using application = await Application.start('holdfast', proxied)
    await application.connect()
    await application.query('select 1')
    proxy.cut('rst')
    await application.end()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })
})

describe('end() with callers that wait', () => {
  test('Holdfast: end() serves the callers that wait when connections are released, and refuses later ones', async ({
    direct,
  }) => {
    const pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const waiting = Promise.all(Array.from({ length: 5 }, () => pool.query('select 1 as one')))
    const ended = pool.end()
    expect(await rejection(pool.query('select 1'))).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
    client.release()
    for (const { rows } of await settles(waiting, 'the callers')) expect(rows).toEqual([{ one: 1 }])
    await settles(ended, 'end()')
    expect([pool.totalCount, pool.ended]).toEqual([0, true])
  })

  test('Holdfast: end() opens another connection for its callers when one is not released for use', async ({
    direct,
  }) => {
    const pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const waiting = Promise.all(Array.from({ length: 3 }, () => pool.query('select 1 as one')))
    const ended = pool.end()
    client.release(true)
    for (const { rows } of await settles(waiting, 'the callers')) expect(rows).toEqual([{ one: 1 }])
    await settles(ended, 'end()')
  })

  test('Holdfast: end() refuses the callers that are not served within closeTimeoutMillis', async ({ direct }) => {
    const pool = holdfast({ ...direct, max: 1, closeTimeoutMillis: CLOSE_TIMEOUT_MILLIS })
    await pool.connect()
    const waiting = unattended(pool.query('select 1'))
    await settles(pool.end(), 'end()')
    expect(await rejection(waiting)).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
  })
})

describe('without end()', () => {
  test.for(['stock', 'holdfast'] as const)(
    '%s: with allowExitOnIdle, the process ends by itself without end()',
    async (library, { direct }) => {
      const options = {
        ...direct,
        allowExitOnIdle: true,
        idleTimeoutMillis: 600_000,
        ...(library === 'holdfast' ? { min: 1 } : {}),
      }
      await using application = await Application.start(library, options)
      await application.connect()
      await application.query('select 1')
      await application.release()
      application.leave()
      expect(await application.ends()).toEqual({ code: 0, stderr: '' })
    },
  )

  test.for(['stock', 'holdfast'] as const)(
    '%s: without end(), the process ends when the idle connections have timed out',
    async (library, { direct }) => {
      await using application = await Application.start(library, { ...direct, idleTimeoutMillis: 100 })
      await application.query('select 1')
      application.leave()
      expect(await application.ends()).toEqual({ code: 0, stderr: '' })
    },
  )
})
