import type { PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { rejection } from '../../faults/support/settling.ts'
import type { Cluster } from '../../support/index.ts'
import { EDITIONS } from './support/editions.ts'

const PID = 'select pg_backend_pid() as pid'

function urlOf(cluster: Cluster, applicationName: string): string {
  return `${cluster.url}&application_name=${applicationName}`
}

describe.each(EDITIONS)('drizzle() on $edition', ({ drizzle, stock, sql, Pool }) => {
  test('drizzle() makes a Holdfast pool of a connection string', async ({ cluster, applicationName }) => {
    const db = drizzle(urlOf(cluster, applicationName))
    await using pool = db.$client
    expect(pool).toBeInstanceOf(Pool)
    await db.execute(PID)
    expect(await cluster.countSessions({ applicationName })).toBe(1)
  })

  test('drizzle() takes a connection string and a config', async ({ cluster, applicationName }) => {
    const logged: string[] = []
    const logger = { logQuery: (query: string) => logged.push(query) }
    const db = drizzle(urlOf(cluster, applicationName), { logger })
    await using _pool = db.$client
    await db.execute(PID)
    expect(logged).toEqual([PID])
  })

  test("drizzle() takes the options of a pool as `connection`, with Holdfast's own", async ({ cluster, direct }) => {
    const connection: PoolOptions = { ...direct, max: 3, prePing: { idleMillis: 0 }, name: 'orders' }
    const db = drizzle({ connection })
    await using pool = db.$client
    await db.execute(PID)
    expect(pool.status()).toMatchObject({ name: 'orders', max: 3 })
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(1)
  })

  test('drizzle() takes a connection string as `connection`', async ({ cluster, applicationName }) => {
    const db = drizzle({ connection: urlOf(cluster, applicationName) })
    await using _pool = db.$client
    await db.execute(PID)
    expect(await cluster.countSessions({ applicationName })).toBe(1)
  })

  test('drizzle() refuses wrong options of its pool', () => {
    expect(() => drizzle({ connection: { max: 0 } })).toThrow('`max` must be a whole number from 1 on, got 0.')
  })

  test('drizzle() takes a pool, as `client` and as its first argument', async ({ direct }) => {
    await using pool = new Pool(direct)
    for (const db of [drizzle({ client: pool }), drizzle(pool), drizzle(pool, { logger: false })]) {
      expect(db.$client).toBe(pool)
      await db.execute(PID)
    }
    expect(pool.totalCount).toBe(1)
  })

  test('drizzle() takes an option whose value is undefined as absent', async ({ direct }) => {
    await using pool = new Pool(direct)
    expect(drizzle({ client: pool, connection: undefined } as never).$client).toBe(pool)
  })

  test('drizzle() takes a single client, and runs its transactions on that connection', async ({ direct }) => {
    await using pool = new Pool(direct)
    const single = new pg.Client(direct)
    await single.connect()
    try {
      await using leased = await pool.connect()
      for (const client of [single, leased]) {
        const db = drizzle({ client })
        expect(db.$client).toBe(client)
        const outside = (await db.execute(PID)).rows
        expect(await db.transaction(async (tx) => (await tx.execute(PID)).rows)).toEqual(outside)
      }
    } finally {
      await single.end()
    }
  })

  test("drizzle() builds statements without a server by drizzle.mock(), as Drizzle's own does", async () => {
    const db = drizzle.mock()
    const [ours, theirs] = [db, stock.mock()].map((each) => each.select({ one: sql`1` }).from(sql`nothing`).toSQL())
    expect(ours).toEqual(theirs)
    await rejection(db.execute(PID))
  })

  test("drizzle() returns an instance of Drizzle's own database class", async ({ direct }) => {
    await using pool = new Pool(direct)
    expect(Object.getPrototypeOf(drizzle(pool))).toBe(Object.getPrototypeOf(stock({ client: pool })))
  })
})
