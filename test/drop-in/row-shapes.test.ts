import { Pool } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { LIBRARIES } from './support/libraries.ts'
import { told, withClient } from './support/observing.ts'

/** What the rows of a statement look like is remembered, and must be noticed when it changes. */
describe.each(LIBRARIES)('$library: a statement that runs again', ({ open }) => {
  test('a statement that runs again shows the columns that the table has by then', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const rowsAfter = async (change: string): Promise<unknown[]> => {
        await client.query(change)
        const { rows, fields } = await client.query('select * from thing')
        expect(fields.map(({ name }) => name)).toEqual(Object.keys(rows[0]))
        return rows
      }
      expect(await rowsAfter("create temp table thing as select 1 as one, 'b' as two")).toEqual([{ one: 1, two: 'b' }])
      expect(await rowsAfter('alter table thing add three date')).toEqual([{ one: 1, two: 'b', three: null }])
      expect(await rowsAfter('alter table thing rename two to deux')).toEqual([{ one: 1, deux: 'b', three: null }])
      expect(await rowsAfter('alter table thing alter one type text')).toEqual([{ one: '1', deux: 'b', three: null }])
      expect(await rowsAfter('alter table thing drop deux')).toEqual([{ one: '1', three: null }])
    })
  })

  test('a statement that runs again shows the columns by the names of its schema', async ({ direct }) => {
    await using pool = open({ ...direct, max: 2 })
    await pool.query('drop schema if exists us, uk cascade; create schema us; create schema uk')
    await pool.query('create table us.pet as select 1 as dog; create table uk.pet as select 2 as cat')
    const rowsIn = (schema: string): Promise<unknown[]> =>
      withClient(pool, async (client) => {
        await client.query(`set search_path to ${schema}`)
        return (await client.query('select * from pet')).rows
      })
    for (let time = 1; time <= 2; time++) {
      expect(await rowsIn('us')).toEqual([{ dog: 1 }])
      expect(await rowsIn('uk')).toEqual([{ cat: 2 }])
    }
  })

  test.for([
    { names: 'that JavaScript has a meaning for', columns: ['__proto__', 'constructor', 'toString', 'hasOwnProperty'] },
    { names: 'that are numbers', columns: ['2', '1', 'a', '0'] },
    { names: 'that occur twice', columns: ['a', 'b', 'a'] },
    { names: 'of every kind of letters', columns: ['Straße', '列', '?column?', 'a b', 'A'] },
  ])('a statement that runs again keeps columns with names $names', async ({ columns }, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const list = columns.map((name, index) => `${index} as "${name}"`).join()
    const expected = Object.defineProperties(
      {},
      Object.fromEntries(columns.map((name, value) => [name, { value, enumerable: true }])),
    )
    for (let time = 1; time <= 3; time++) {
      const { rows } = await pool.query(`select ${list}`)
      expect(Object.entries(rows[0])).toEqual(Object.entries(expected))
      expect(Object.getPrototypeOf(rows[0])).toBe(Object.prototype)
    }
  })

  test('a statement that runs again has its values parsed by the settings of that time', async ({ direct }) => {
    let suffix = '!'
    const shouting = { getTypeParser: () => (value: unknown) => `${value}${suffix}` }
    await using pool = open({ ...direct, max: 1 })
    const text = 'select 1 as it'
    expect((await pool.query(text)).rows).toEqual([{ it: 1 }])
    expect((await pool.query({ text, types: shouting })).rows).toEqual([{ it: '1!' }])
    suffix = '?'
    expect((await pool.query({ text, types: shouting })).rows).toEqual([{ it: '1?' }])
    expect((await pool.query({ text, rowMode: 'array' })).rows).toEqual([[1]])
    await withClient(pool, async (client) => {
      client.setTypeParser(pg.types.builtins.INT4, (value: string) => `int ${value}`)
      expect((await client.query(text)).rows).toEqual([{ it: 'int 1' }])
    })
  })

  test('a statement that runs again has several results, if its text is of several statements', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    for (let time = 1; time <= 2; time++) {
      const results = (await pool.query('select 1 as a; select 2 as b, 3 as c; select 4 as a')) as unknown
      expect(results).toMatchObject([{ rows: [{ a: 1 }] }, { rows: [{ b: 2, c: 3 }] }, { rows: [{ a: 4 }] }])
      const alike = (await pool.query('select 1 as a; select 2 as a')) as unknown
      expect(alike).toMatchObject([{ rows: [{ a: 1 }] }, { rows: [{ a: 2 }] }])
    }
  })

  test('a statement that runs again has a result, rows and fields of its own', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const text = 'select 1 as a, 2 as b from (values (1), (2)) as v'
    for (let time = 1; time <= 3; time++) {
      const { rows, fields } = await pool.query(text)
      expect(rows).toEqual([
        { a: 1, b: 2 },
        { a: 1, b: 2 },
      ])
      expect(fields.map(({ name }) => name)).toEqual(['a', 'b'])
      rows[0].c = 3
      delete rows[1].a
      for (const field of fields) field.name = 'spoilt'
    }
  })

  test('a statement that runs again emits its rows to its listeners, and keeps none', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    for (let time = 1; time <= 2; time++) {
      await withClient(pool, async (client) => {
        const query = new pg.Query('select 1 as one')
        const rows: unknown[] = []
        query.on('row', (row) => rows.push(row))
        client.query(query)
        const [result] = await told(query, 'end')
        expect(rows).toEqual([{ one: 1 }])
        expect(result).toMatchObject({ rows: [], rowCount: 1 })
      })
    }
  })

  test('a statement that runs again has the same result, down to the driver’s own parts', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const run = (): Promise<pg.QueryResult> => pool.query("select $1::int as a, now() as b, '{1}'::int[] as c", [1])
    const [first, second] = [await run(), await run()]
    second.rows[0].b = first.rows[0].b
    expect(second).toStrictEqual(first)
    expect(Object.keys(second)).toEqual(Object.keys(first))
  })
})

test('a query that describes its rows by itself is left to it', async ({ direct }) => {
  let described = 0
  await using pool = new Pool({ ...direct, max: 1 })
  for (let time = 1; time <= 2; time++) {
    await withClient(pool, async (client) => {
      const query = new pg.Query('select 1 as one') as pg.Query & Describing
      const { handleRowDescription } = query
      query.handleRowDescription = (message) => {
        described++
        handleRowDescription.call(query, message)
      }
      const ended = told(client.query(query), 'end')
      expect(await ended).toMatchObject([{ rows: [{ one: 1 }] }])
    })
  }
  expect(described).toBe(2)
})

interface Describing {
  handleRowDescription(message: unknown): void
}
