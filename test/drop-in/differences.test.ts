import { physicalClient } from '@holdfast/core'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, StockPool } from '../faults/support/pools.ts'
import { isPending, rejection, settles, unattended } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

/** Where Holdfast does something else than pg.Pool, on purpose: the list of docs/migrating.md. */

/** Lets everything happen that was on its way: five turns of the event loop, and a round trip to the server. */
async function afterAWhile(config: pg.ClientConfig): Promise<void> {
  const client = new pg.Client(config)
  await client.connect()
  await client.query('select 1')
  await client.end()
}

describe('a caller waits when the pool is ended', () => {
  test('stock pg.Pool: a caller that waits when the pool is ended waits without an end', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    const waiter = unattended(pool.connect())
    const ended = pool.end()
    client.release()
    await settles(ended, 'end()')
    expect(await isPending(waiter)).toBe(true)
  })

  test('Holdfast: a caller that waits when the pool is ended gets an error', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const waiter = rejection(pool.connect())
    const ended = pool.end()
    expect(await waiter).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
    client.release()
    await settles(ended, 'end()')
  })
})

describe('a client that its borrower has ended, and not released', () => {
  test('stock pg.Pool: a client that its holder has ended, and not released, keeps its slot', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = (await pool.connect()) as unknown as pg.Client
    await client.end()
    const waiter = unattended(pool.query('select 1'))
    await afterAWhile(direct)
    expect([pool.totalCount, await isPending(waiter)]).toEqual([1, true])
  })

  test('Holdfast: a client that its holder has ended, and not released, has left the pool', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = (await pool.connect()) as unknown as pg.Client
    await client.end()
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })
})

describe('a client that was released is used once more', () => {
  test("stock pg.Pool: a statement on a released client lands in the next holder's transaction", async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const former = await pool.connect()
    former.release()
    const client = await pool.connect()
    await client.query('begin')
    expect(await former.query('select pg_current_xact_id_if_assigned() is null as free')).toMatchObject({ rowCount: 1 })
    await client.query('rollback')
    client.release()
  })

  test('Holdfast: a statement on a released client is refused', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const former = await pool.connect()
    former.release()
    expect(await rejection(former.query('select 1'))).toMatchObject({ code: 'HOLDFAST_RELEASED' })
  })
})

describe('a client is released while its cursor is open', () => {
  test('stock pg.Pool: after a release with an open cursor, the next lease never gets on', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query(new Cursor('select generate_series(1, 1000)')).read(1)
    client.release()
    const next = unattended(pool.query('select 1'))
    await afterAWhile(direct)
    expect(await isPending(next)).toBe(true)
  })

  test('Holdfast: after a release with an open cursor, the next holder is served', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query(new Cursor('select generate_series(1, 1000)')).read(1)
    client.release()
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })
})

describe('a `verify` that throws', () => {
  test('Holdfast: a `verify` that throws fails the caller, and closes the connection', async ({ cluster, direct }) => {
    const verify = (): void => {
      throw new Error('of verify')
    }
    await using pool = holdfast({ ...direct, max: 1, verify })
    expect(await rejection(pool.query('select 1'))).toMatchObject({ message: 'of verify' })
    await until(() => pool.totalCount === 0)
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
  })
})

describe('an SQL error in pool.query', () => {
  test.for([
    { library: 'stock pg.Pool: closes the client', open: (config: object) => new StockPool(config), isSame: false },
    { library: 'Holdfast: keeps it', open: (config: object) => holdfast(config), isSame: true },
  ])('after an SQL error in pool.query, $library', async ({ open, isSame }, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const first = await pool.connect()
    first.release()
    await rejection(pool.query('select nonsense'))
    const second = await settles(pool.connect(), 'the next client')
    expect(physicalClient(second) === physicalClient(first)).toBe(isSame)
    second.release()
  })
})

describe('a server that accepts and never answers', () => {
  test.for([
    {
      library: 'stock pg.Pool: tells of the connection',
      open: (config: object) => new StockPool(config),
      message: 'Connection terminated due to connection timeout',
    },
    {
      library: 'Holdfast: tells of the deadline, and of the server as its cause',
      open: (config: object) => holdfast(config),
      message: expect.stringMatching(/^timeout exceeded when trying to connect .*no answer within/),
    },
  ])('of a server that accepts and never answers, $library', async ({ open, message }, { proxy, proxied }) => {
    proxy.swallow()
    await using pool = open({ ...proxied, connectionTimeoutMillis: 300, prePing: { timeoutMillis: 100 } })
    expect(await rejection(pool.connect())).toMatchObject({ message })
  })
})
