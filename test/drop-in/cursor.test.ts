import pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { calledWith, told, withClient } from './support/observing.ts'

const NUMBERS = 'select n from generate_series(0, 5) as n'

/** https://node-postgres.com/apis/cursor */
describe.each(LIBRARIES)('$library: a cursor', ({ open }) => {
  test('a cursor is returned by query, and read in parts, to the end and beyond', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const cursor = new Cursor(NUMBERS)
      expect(client.query(cursor)).toBe(cursor)
      expect(await cursor.read(4)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }])
      expect(await cursor.read(4)).toEqual([{ n: 4 }, { n: 5 }])
      expect(await cursor.read(4)).toEqual([])
      expect(await cursor.read(4)).toEqual([])
    })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test('a cursor calls back with the rows and the result', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor(NUMBERS))
      const [error, rows, result] = await calledWith((done) => cursor.read(2, done))
      expect(error).toBe(null)
      expect(rows).toEqual([{ n: 0 }, { n: 1 }])
      expect(result).toMatchObject({ rows, fields: [{ name: 'n', dataTypeID: pg.types.builtins.INT4 }] })
      expect((await calledWith((done) => cursor.close(done)))[0]).toBeFalsy()
    })
  })

  test('a cursor takes values, a row mode, and types', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const types = { getTypeParser: () => (value: unknown) => `${value}!` }
      const config = { rowMode: 'array', types } as const
      const cursor = client.query(new Cursor('select $1::int as a, $2::text as a', [1, 'x'], config as never))
      expect(await cursor.read(10)).toEqual([['1!', 'x!']])
      await cursor.close()
      const own = client.query(new Cursor('select 1::int8 as big'))
      expect(await own.read(1)).toEqual([{ big: '1' }])
      await own.close()
    })
  })

  test("a cursor parses as the client's own types say", async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      client.setTypeParser(pg.types.builtins.INT8, BigInt)
      const cursor = client.query(new Cursor('select 1::int8 as big'))
      expect(await cursor.read(1)).toEqual([{ big: 1n }])
      await cursor.close()
    })
  })

  test('a cursor that is closed early makes way for the next statement', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('select generate_series(1, 100000)'))
      await cursor.read(1)
      await settles(cursor.close(), 'close()')
      expect(await cursor.read(1)).toEqual([])
      await settles(cursor.close(), 'the second close()')
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })
    expect([pool.idleCount, pool.totalCount]).toEqual([1, 1])
  })

  test('a cursor that is closed before it was read makes way for the next statement', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      await settles(client.query(new Cursor(NUMBERS)).close(), 'close()')
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })
  })

  test('a cursor waits for the statement before it; what is behind it waits for its end', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const order: string[] = []
      const before = client.query('select pg_sleep(0.05)').then(() => order.push('before'))
      const cursor = client.query(new Cursor(NUMBERS))
      const behind = client.query('select 1').then(() => order.push('behind'))
      expect(await cursor.read(100)).toHaveLength(6)
      order.push('read')
      await Promise.all([before, behind])
      expect(order.indexOf('before')).toBe(0)
      expect(order).toHaveLength(3)
    })
  })

  test('a cursor emits its rows and its end', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor(NUMBERS))
      const rows: unknown[] = []
      cursor.on('row', (row) => rows.push(row))
      const ended = told(cursor, 'end')
      await cursor.read(100)
      expect(await ended).toMatchObject([{ command: 'SELECT', rowCount: 6 }])
      expect(rows).toHaveLength(6)
    })
  })

  test('a cursor takes a statement that returns no rows', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('create temp table item (id int)'))
      expect(await settles(cursor.read(1), 'read()')).toEqual([])
      const insert = client.query(new Cursor('insert into item values ($1) returning id', [7]))
      expect(await settles(insert.read(10), 'read()')).toEqual([{ id: 7 }])
      await settles(insert.close(), 'close()')
    })
    expect((await settles(pool.query('select id from item'), 'the next one')).rows).toEqual([{ id: 7 }])
  })

  test('a cursor lives in its transaction', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      await client.query('begin')
      const cursor = client.query(new Cursor(NUMBERS))
      expect(await cursor.read(1)).toEqual([{ n: 0 }])
      await cursor.close()
      expect(client.getTransactionStatus()).toBe('T')
      await client.query('commit')
    })
  })

  test('a cursor that fails rejects the read, and every later one; the client stays', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('select nonsense'))
      const emitted = told(cursor, 'error')
      expect(await rejection(cursor.read(1))).toMatchObject({ code: '42703' })
      expect(await rejection(cursor.read(1))).toMatchObject({ code: '42703' })
      await emitted
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a cursor that fails half-way rejects that read', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('select 1 / (3 - n) as it from generate_series(1, 5) as n'))
      expect(await cursor.read(2)).toEqual([{ it: 0 }, { it: 1 }])
      expect(await rejection(cursor.read(2))).toMatchObject({ code: '22012' })
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
  })
})
