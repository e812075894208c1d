import { PoolOverloadedError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast, StockPool, warmUp } from '../faults/support/pools.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'

describe('maxWaiting', () => {
  test('stock pg.Pool: the queue grows without end', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await pool.connect()
    for (let caller = 1; caller <= 1000; caller++) void unattended(pool.query('select 1'))
    expect(pool.waitingCount).toBe(1000)
  })

  test('one waiter above maxWaiting is refused at once, and the others are served', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, maxWaiting: 2 })
    const holder = await pool.connect()
    const waiting = [pool.query('select 1 as it'), pool.query('select 2 as it')]
    for (const refused of [pool.query('select 3'), pool.connect()]) {
      const error = await rejection(refused)
      expect(error).toBeInstanceOf(PoolOverloadedError)
      expect(error).toMatchObject({ code: 'HOLDFAST_POOL_OVERLOADED', maxWaiting: 2 })
      expect(error.message).toContain('2 callers wait')
    }
    expect(pool.waitingCount).toBe(2)
    holder.release()
    const rows = (await settles(Promise.all(waiting), 'those in line')).map((result) => result.rows[0].it)
    expect(rows).toEqual([1, 2])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a waiter that gives up makes room within maxWaiting', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, maxWaiting: 1 })
    const holder = await pool.connect()
    const controller = new AbortController()
    const given = pool.query({ text: 'select 1', signal: controller.signal })
    controller.abort()
    expect(await rejection(given)).toMatchObject({ name: 'AbortError' })
    const waiting = pool.query('select 2 as it')
    holder.release()
    expect((await settles(waiting, 'who came later')).rows).toEqual([{ it: 2 }])
  })

  test.for([0, 1])(
    "with maxWaiting %i a waiter whose connection is being opened doesn't count",
    async (maxWaiting, { direct }) => {
      await using pool = holdfast({ ...direct, max: 3, maxWaiting })
      const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
      expect(pool.totalCount).toBe(3)
      for (const client of clients) client.release()
    },
  )

  test("with maxWaiting 0 a caller isn't refused if an idle connection is pinged first", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2, maxWaiting: 0, prePing: { idleMillis: 0 } })
    await warmUp(pool, 2)
    await Promise.all([pool.query('select 1'), pool.query('select 2')])
  })
})
