import { withRetry } from '@holdfast/kysely'
import { type Kysely, sql } from 'kysely'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { allIsWell, LOSSES } from '../../faults/support/losses.ts'
import { holdfast, StockPool } from '../../faults/support/pools.ts'
import { isPending, rejection, settles, unattended } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { backendPid, entries, kysely, stockKysely, type Tables } from './support/kysely.ts'

interface Numbered {
  readonly n: number
}

/** Streams `count` rows, one by one. The row behind `stallsAfter` never comes. */
function numbers(db: Kysely<Tables>, count: number, stallsAfter = count): AsyncIterableIterator<Numbered> {
  const stall = sql`case when n > ${stallsAfter} then pg_sleep('infinity') end`.as('stall')
  const rows = sql<Numbered>`(select n from generate_series(1, ${count}::int) as n)`.as('rows')
  return db.selectFrom(rows).select(['n', stall]).stream(1) as AsyncIterableIterator<Numbered>
}

/** Reads the rows to their end, or until an error. */
async function readAll(rows: AsyncIterable<Numbered>, into: number[] = []): Promise<number[]> {
  for await (const { n } of rows) into.push(n)
  return into
}

test('HoldfastDialect streams without a `cursor`, which stock Kysely needs', async ({ direct }) => {
  await using stockPool = new StockPool(direct)
  const stock = stockKysely(stockPool, { cursor: undefined } as object)
  expect((await rejection(readAll(numbers(stock, 3)))).message).toMatch('`cursor` is not present')
  await using pool = holdfast(direct)
  expect(await readAll(numbers(kysely(pool), 3))).toEqual([1, 2, 3])
})

test("HoldfastDialect streams by the application's own `cursor`", async ({ direct }) => {
  let opened = 0
  class CountedCursor extends Cursor {
    constructor(...args: ConstructorParameters<typeof Cursor>) {
      super(...args)
      opened++
    }
  }
  await using pool = holdfast(direct)
  expect(await readAll(numbers(kysely(pool, { cursor: CountedCursor as never }), 3))).toEqual([1, 2, 3])
  expect(opened).toBe(1)
})

describe.each(LOSSES)('while a stream is read and $loss', ({ code, happen }) => {
  test('the reader of stock Kysely never ends when $loss, and its slot is never free', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = new StockPool({ ...proxied, max: 1 })
    const db = stockKysely(pool)
    const seen: number[] = []
    const read = unattended(readAll(numbers(db, 5, 2), seen))
    await until(() => seen.length === 2)
    await happen({ cluster, proxy, applicationName })
    await until(() => pool.totalCount === 0 || pool.idleCount === 0)
    const next = unattended(sql`select 1`.execute(db))
    await until(() => pool.waitingCount === 1)
    expect([await isPending(read), await isPending(next)]).toEqual([true, true])
  })

  test('the reader of HoldfastDialect gets the error when $loss, and its slot is free', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const seen: number[] = []
    const read = rejection(readAll(numbers(kysely(pool), 5, 2), seen))
    await until(() => seen.length === 2)
    await happen({ cluster, proxy, applicationName })
    expect(await read).toMatchObject({ name: 'ConnectionLostError', code, sent: true })
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('a paused reader gets the loss with its next row', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const rows = numbers(kysely(pool), 1000)
    expect(await rows.next()).toMatchObject({ value: { n: 1 } })
    await happen({ cluster, proxy, applicationName })
    await until(() => pool.totalCount === 0)
    await allIsWell(pool, { cluster, proxy, applicationName })
    expect(await rejection(rows.next())).toMatchObject({ name: 'ConnectionLostError', code })
  })

  test('a reader that leaves is not delayed by a loss', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const rows = numbers(kysely(pool), 1000)
    await rows.next()
    await happen({ cluster, proxy, applicationName })
    await settles(rows.return?.() as Promise<unknown>, 'leaving')
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('withRetry reads a lost stream from its first row', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const db = kysely(pool)
    const id = `streamed: ${applicationName}`
    const read = await withRetry(db.transaction()).execute(async (trx, { attempt }) => {
      await trx.insertInto('entry').values({ id }).execute()
      const seen: number[] = []
      for await (const { n } of numbers(trx, 5)) {
        seen.push(n)
        if (attempt === 1 && n === 2) await happen({ cluster, proxy, applicationName })
      }
      return { attempt, seen }
    })
    expect(read).toEqual({ attempt: 2, seen: [1, 2, 3, 4, 5] })
    expect(await entries(db, id)).toEqual([id])
    await allIsWell(pool, { cluster, proxy, applicationName })
  })
})

describe('leaving the loop over a stream early', () => {
  test('leaving the loop over a stream closes the cursor and keeps the connection', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const pid = await backendPid(db)
    for await (const { n } of numbers(db, 1000)) if (n === 2) break
    expect(await backendPid(db)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('leaving the loop over a stream by an error rolls the transaction back', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const transaction = withRetry(kysely(pool).transaction()).execute(async (trx) => {
      await trx.insertInto('entry').values({ id: 'left a stream' }).execute()
      for await (const { n } of numbers(trx, 1000)) if (n === 2) throw new RangeError('enough')
    })
    expect(await rejection(transaction)).toBeInstanceOf(RangeError)
    expect(await cluster.query("select from entry where id = 'left a stream'")).toEqual([])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
