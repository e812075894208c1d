import { NullPool, OptionsError, Pool } from '@holdfast/core'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { backendPid, countEvents } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

describe('a NullPool', () => {
  test('a NullPool has the surface of a pool', async ({ cluster, direct }) => {
    await using pool = new NullPool({ ...direct, max: 1 })
    expect(pool).toBeInstanceOf(Pool)
    expect(pool.constructor.name).toBe('NullPool')
    expect((await pool.query('select $1::int as it', [1])).rows).toEqual([{ it: 1 }])
    const called = new Promise((resolve) => pool.query('select 2 as it', (_error, result) => resolve(result.rows)))
    expect(await settles(called, 'the callback')).toEqual([{ it: 2 }])
    const id = 'by a transaction of a NullPool'
    const pid = await pool.transaction(async (tx) => {
      await tx.query('insert into entry values ($1)', [id])
      return backendPid(tx as never)
    })
    expect(await backendPid(pool)).not.toBe(pid)
    expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
    {
      await using client = await pool.connect()
      expect((await client.query(new QueryStream('select 3 as it')).toArray()) as unknown[]).toEqual([{ it: 3 }])
    }
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([0, 0, 0])
    expect(pool.inspect()).toEqual([])
  })

  test("a NullPool emits pg's events, once per lease", async ({ direct }) => {
    await using pool = new NullPool(direct)
    const told = (['connect', 'acquire', 'release', 'remove'] as const).map((event) => countEvents(pool, event))
    for (let lease = 1; lease <= 3; lease++) await pool.query('select 1')
    await until(() => told.every((count) => count() === 3))
  })

  test('a NullPool runs onConnect for each lease', async ({ direct }) => {
    await using pool = new NullPool({
      ...direct,
      onConnect: async (client) => {
        await client.query("set app.tenant = 'ours'")
      },
    })
    for (let lease = 1; lease <= 2; lease++) {
      expect((await pool.query("select current_setting('app.tenant') as it")).rows).toEqual([{ it: 'ours' }])
    }
  })

  test("a NullPool commits under resetOnReturn: 'commit', before it closes", async ({ cluster, direct }) => {
    await using pool = new NullPool({ ...direct, resetOnReturn: 'commit' })
    await pool.query("begin; insert into entry values ('committed by a NullPool')")
    await until(
      async () => (await cluster.query("select from entry where id = 'committed by a NullPool'")).length === 1,
    )
  })

  test('a NullPool keeps no more connections than the callers need', async ({ cluster, direct }) => {
    await using pool = new NullPool({ ...direct, max: 1 })
    const holder = await pool.connect()
    const pid = await backendPid(holder)
    const waiting = backendPid(pool)
    expect(pool.waitingCount).toBe(1)
    holder.release()
    expect(await settles(waiting, 'whoever waited')).not.toBe(pid)
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
  })

  test('a NullPool is not fooled by options that would keep connections', async ({ direct }) => {
    const options = { ...direct, min: 2, maxIdle: 5, maxUses: 100, idleTimeoutMillis: 0, keepaliveMillis: 10 }
    await using pool = new NullPool(options as object)
    await pool.query('select 1')
    expect(pool.totalCount).toBe(0)
  })

  test('a NullPool takes every other option of a pool, and refuses what no pool takes', () => {
    expect(() => new NullPool({ max: 0 })).toThrow(OptionsError)
    expect(() => new NullPool({ prePingg: true } as object)).toThrow(OptionsError)
  })

  test('a NullPool ends like a pool', async ({ cluster, direct }) => {
    const pool = new NullPool(direct)
    const client = await pool.connect()
    const ended = pool.end()
    client.release()
    await settles(ended, 'end()')
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(0)
    expect(await rejection(pool.query('select 1'))).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
  })
})
