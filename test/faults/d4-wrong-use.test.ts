import { PoolClosedError, ReleaseError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { rejection } from './support/settling.ts'

describe('used after release', () => {
  test('stock pg.Pool: use after release ends the transaction of the next lease', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const former = await pool.connect()
    former.release()
    const next = await pool.connect()
    await next.query('begin')
    await next.query("insert into entry values ('stolen')")
    await former.query('rollback')
    await next.query('commit')
    expect(await cluster.query("select from entry where id = 'stolen'")).toEqual([])
    next.release()
  })

  test('Holdfast: a client that is used after release is refused while it is idle', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    client.release()
    const error = await rejection(client.query('rollback'))
    expect(error).toBeInstanceOf(ReleaseError)
    expect(error).toMatchObject({ code: 'HOLDFAST_RELEASED', message: expect.stringContaining('released') })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('released twice', () => {
  test('stock pg.Pool: a second release throws', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    client.release()
    expect(() => client.release()).toThrow('Release called on client which has already been released to the pool.')
  })

  test('Holdfast: a second release throws the same text with a code, and no harm', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const client = await pool.connect()
    client.release()
    expect(() => client.release()).toThrow(ReleaseError)
    expect(() => client.release()).toThrow('Release called on client which has already been released to the pool.')
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: the second release of a former lease does not end the present one', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const former = await pool.connect()
    const { release } = former
    release()
    const present = await pool.connect()
    expect(() => release()).toThrow(ReleaseError)
    expect(pool.idleCount).toBe(0)
    expect(await backendPid(present)).toBeGreaterThan(0)
    present.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('used after end()', () => {
  test('stock pg.Pool: a pool that is used after end() says so', async ({ direct }) => {
    const pool = new StockPool(direct)
    await pool.end()
    expect((await rejection(pool.query('select 1'))).message).toBe('Cannot use a pool after calling end on the pool')
  })

  test('Holdfast: a pool that is used after end() says so in the same words, with a code', async ({ direct }) => {
    const pool = holdfast(direct)
    await pool.query('select 1')
    await pool.end()
    for (const use of [pool.query('select 1'), pool.connect()]) {
      const error = await rejection(use)
      expect(error).toBeInstanceOf(PoolClosedError)
      expect(error).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
      expect(error.message).toBe('Cannot use a pool after calling end on the pool')
    }
    expect(await rejection(pool.end())).toMatchObject({ message: 'Called end on pool more than once' })
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([0, 0, 0])
    expect([pool.ending, pool.ended]).toEqual([true, true])
  })

  test('Holdfast: a client that is leased at end() may finish, then the pool ends', async ({ cluster, direct }) => {
    const pool = holdfast({ ...direct, closeTimeoutMillis: 10_000 })
    const client = await pool.connect()
    const ended = pool.end()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect([pool.ending, pool.ended]).toEqual([true, false])
    client.release()
    await ended
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(0)
  })
})
