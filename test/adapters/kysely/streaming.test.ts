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

/** So many rows, one by one; with `stallsAfter`, the next one never comes. */
function numbers(db: Kysely<Tables>, count: number, stallsAfter = count): AsyncIterableIterator<Numbered> {
  const stall = sql`case when n > ${stallsAfter} then pg_sleep('infinity') end`.as('stall')
  const rows = sql<Numbered>`(select n from generate_series(1, ${count}::int) as n)`.as('rows')
  return db.selectFrom(rows).select(['n', stall]).stream(1) as AsyncIterableIterator<Numbered>
}

/** Reads to the end, however that comes. */
async function readAll(rows: AsyncIterable<Numbered>, into: number[] = []): Promise<number[]> {
  for await (const { n } of rows) into.push(n)
  return into
}

test('stock Kysely needs a cursor; Holdfast has one', async ({ direct }) => {
  await using stockPool = new StockPool(direct)
  const stock = stockKysely(stockPool, { cursor: undefined } as object)
  expect((await rejection(readAll(numbers(stock, 3)))).message).toMatch('`cursor` is not present')
  await using pool = holdfast(direct)
  expect(await readAll(numbers(kysely(pool), 3))).toEqual([1, 2, 3])
})

test('a cursor of the user is taken instead', async ({ direct }) => {
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

describe.each(LOSSES)('a stream is read, and $loss', ({ code, happen }) => {
  test('stock Kysely: its reader waits for ever, and the slot is gone', async ({
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

  test('Holdfast: for await ends with the error, and the slot comes back', async ({
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

  test('Holdfast: a reader who pauses is told when he goes on; the slot is free before', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const rows = numbers(kysely(pool), 1000)
    expect(await rows.next()).toMatchObject({ value: { n: 1 } })
    await happen({ cluster, proxy, applicationName })
    await until(() => pool.totalCount === 0)
    await allIsWell(pool, { cluster, proxy, applicationName })
    expect(await rejection(rows.next())).toMatchObject({ name: 'ConnectionLostError', code })
  })

  test('Holdfast: a reader who leaves is not held up', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const rows = numbers(kysely(pool), 1000)
    await rows.next()
    await happen({ cluster, proxy, applicationName })
    await settles(rows.return?.() as Promise<unknown>, 'leaving')
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: retrying begins again, with the first row', async ({ cluster, proxy, proxied, applicationName }) => {
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

describe('leaving early', () => {
  test('closes the cursor, and keeps the connection', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const pid = await backendPid(db)
    for await (const { n } of numbers(db, 1000)) if (n === 2) break
    expect(await backendPid(db)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('by an error of its own, inside of a transaction, rolls back', async ({ cluster, direct }) => {
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
