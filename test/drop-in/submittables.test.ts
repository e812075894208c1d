import pg from 'pg'
import { from } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'

/** Where a stock pool hangs, or loses a slot, with what talks to the server by itself. */
describe('Holdfast', () => {
  test('Holdfast lets a cursor be closed after it failed', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await using client = await pool.connect()
    const cursor = client.query(new Cursor('select nonsense'))
    await rejection(cursor.read(1))
    await settles(client.query('select 1'), 'the next statement')
    await settles(cursor.close(), 'close()')
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('Holdfast lets a waiting cursor be closed, and the next statement run', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await using client = await pool.connect()
    const before = client.query('select pg_sleep(0.05)')
    await settles(client.query(new Cursor('select generate_series(1, 1000)')).close(), 'close()')
    expect((await settles(client.query('select 1 as one'), 'what is behind')).rows).toEqual([{ one: 1 }])
    await before
  })

  test('Holdfast rejects the read of a cursor that was open at release', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(1)
    client.release()
    await settles(pool.query('select 1'), 'the next borrower')
    expect(await rejection(cursor.read(1))).toBeInstanceOf(Error)
    await settles(cursor.close(), 'close()')
  })

  test('Holdfast gets the slot back from a cursor that was given to pool.query', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const cursor = new Cursor('select generate_series(1, 3) as n')
    const done = pool.query(cursor) as unknown as Promise<unknown>
    expect(await settles(cursor.read(10), 'read()')).toHaveLength(3)
    await settles(done, 'pool.query')
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test('Holdfast gets the slot back from a copy stream that was given to pool.query, and reports its failure', async ({
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const ingest = from('copy nowhere from stdin').on('error', () => {})
    expect(await rejection(pool.query(ingest) as unknown as Promise<unknown>)).toMatchObject({ code: '42P01' })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test('Holdfast calls both callbacks of a query object that has one already', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    let own = 0
    const query = Object.assign(new pg.Query('select 1 as one'), { callback: () => own++ })
    await settles(pool.query(query) as unknown as Promise<unknown>, 'pool.query')
    expect(own).toBe(1)
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })
})
