import { ConnectError, PoolTimeoutError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const SIZE = 3
const DIRECTIONS = ['to-server', 'to-client', 'both'] as const

describe.each(WAYS)('a black hole for the existing connections, through $way', ({ run }) => {
  test.for(DIRECTIONS)(
    'in a black hole (%s) Holdfast serves the next statement while stock pg.Pool still waits',
    async (direction, { cluster, proxy, proxied }) => {
      await using stock = new StockPool({ ...proxied, max: SIZE })
      await using pool = holdfast({ ...proxied, max: SIZE, application_name: 'ours' })
      await warmUp(stock, SIZE)
      const oldPids = await warmUp(pool, SIZE)
      const oldLinks = proxy.links.slice(SIZE)
      proxy.swallow({ direction, connections: 'existing' })

      const stockStatement = unattended(run(stock, 'select 1'))
      const statements = Array.from({ length: SIZE }, () => run(pool, 'select pg_backend_pid() as pid'))
      const results = await settles(Promise.all(statements), 'the statements of Holdfast')

      for (const { rows } of results) expect(oldPids).not.toContain(rows[0].pid)
      // Destroyed, not politely ended: for that, the server would have to answer.
      await until(() => oldLinks.every((link) => !link.isOpen), { what: 'the dead sockets to be closed' })
      expect(await isPending(stockStatement)).toBe(true)
      await proxy.heal()
      await expectHealthy(pool, cluster, 'ours')
    },
  )

  test('in a black hole for new connections too, connect() keeps its deadline and rejects with the reason', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using stock = new StockPool({ ...proxied, max: SIZE })
    await using pool = holdfast({ ...proxied, max: SIZE, connectionTimeoutMillis: 2500 })
    await warmUp(pool, SIZE)
    proxy.swallow({ connections: 'all' })

    const stockStatement = unattended(run(stock, 'select 1'))
    const error = await rejection(run(pool, 'select 1'))

    expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(error.cause).toBeInstanceOf(ConnectError)
    expect(error.cause).toMatchObject({
      code: 'ETIMEDOUT',
      message: expect.stringContaining(`127.0.0.1:${proxy.port}`),
    })
    expect(await isPending(stockStatement)).toBe(true)
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

describe('Holdfast', () => {
  test('Holdfast: a deadline that passes before the first attempt to connect is given up rejects with the reason', async ({
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, connectionTimeoutMillis: 500 })
    proxy.swallow({ connections: 'new' })
    const error = await rejection(pool.connect())
    expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(error.cause).toMatchObject({ message: expect.stringContaining(`127.0.0.1:${proxy.port}`) })
  })
})

describe('stock pg.Pool', () => {
  test('stock pg.Pool goes on leasing dead connections when statements time out', async ({ proxy, proxied }) => {
    await using pool = new StockPool({ ...proxied, max: 1, query_timeout: 300 })
    await warmUp(pool, 1)
    proxy.swallow({ connections: 'existing' })
    const [, viaConnect] = WAYS
    for (let request = 1; request <= 3; request++)
      await expect(viaConnect?.run(pool, 'select 1')).rejects.toThrow('Query read timeout')
  })
})
