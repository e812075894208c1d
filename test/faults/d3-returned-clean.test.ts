import type pg from 'pg'
import { describe, expect } from 'vitest'
import type { FaultProxy } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool, WAYS, type Way } from './support/pools.ts'

const TIMES = 20

/** How many bytes so many requests on a warm connection exchange with the server. */
async function exchanged(pool: pg.Pool, proxy: FaultProxy, request: () => Promise<unknown>): Promise<[number, number]> {
  await request()
  const link = proxy.links.at(-1)
  const before = [link?.bytesToServer ?? 0, link?.bytesToClient ?? 0] as const
  for (let time = 1; time <= TIMES; time++) await request()
  expect(pool.totalCount).toBe(1)
  return [(link?.bytesToServer ?? 0) - before[0], (link?.bytesToClient ?? 0) - before[1]]
}

async function transaction(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query('select 1')
  await client.query('commit')
  client.release()
}

const REQUESTS = [
  ...WAYS.map(({ way, run }: Way) => ({ what: way, request: (pool: pg.Pool) => run(pool, 'select $1::int', [1]) })),
  { what: 'a transaction', request: transaction },
]

describe('a connection that is released clean', () => {
  test.for(REQUESTS)(
    'a connection that is released clean costs not one byte more than with stock pg.Pool: $what',
    async ({ request }, { proxy, proxied }) => {
      await using stock = new StockPool({ ...proxied, max: 1 })
      // Asking for the ids of transactions has a price of its own, but no round trip: see C3. A name is longer, too.
      await using pool = holdfast({
        ...proxied,
        max: 1,
        prePing: { idleMillis: 60_000 },
        lostCommit: 'report',
        prepare: false,
      })
      const stockBytes = await exchanged(stock, proxy, () => request(stock))
      expect(await exchanged(pool, proxy, () => request(pool))).toEqual(stockBytes)
    },
  )

  test('a connection that is released without a statement costs nothing at all', async ({ proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1, prePing: { idleMillis: 60_000 } })
    const lease = async (): Promise<void> => (await pool.connect()).release()
    expect(await exchanged(pool, proxy, lease)).toEqual([0, 0])
  })

  test('a connection that is released with an open transaction costs a round trip', async ({ proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1, prePing: { idleMillis: 60_000 } })
    await using other = holdfast({ ...proxied, max: 1, prePing: { idleMillis: 60_000 } })
    const [sent] = await exchanged(other, proxy, () => other.query('begin; rollback'))
    const [sentWithReset] = await exchanged(pool, proxy, () => pool.query('begin;         '))
    expect(sentWithReset).toBeGreaterThan(sent)
  })
})
