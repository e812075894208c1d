import pg from 'pg'
import { afterEach, describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { LIBRARIES } from './support/libraries.ts'

/** https://node-postgres.com/features/types and https://node-postgres.com/apis/types */
describe.each(LIBRARIES)('$library: types', ({ open }) => {
  const { INT8, DATE } = pg.types.builtins
  const parsers = [INT8, DATE].map((oid) => [oid, pg.types.getTypeParser(oid)] as const)
  afterEach(() => {
    for (const [oid, parser] of parsers) pg.types.setTypeParser(oid, parser as never)
    ;(pg.defaults as { parseInt8: boolean }).parseInt8 = false
  })

  test('values are strings if JavaScript has no such type', async ({ direct }) => {
    await using pool = open(direct)
    const text = `select 12345678901234567890::numeric as numeric, 1::int8 as int8, '10.0.0.1'::inet as inet,
      '1 day'::interval as interval, 'd70195fd-608e-42dc-b0f5-eee975a621e9'::uuid as uuid, '(1,2)'::point as point,
      '[1,5)'::int4range as range, b'101' as bits, '<a/>'::text as text, 'a'::"char" as char, 4.5::float4 as float4,
      true as bool, '\\x0102'::bytea as bytea, '{"a":null}'::json as json, array[1.5, null]::numeric[] as numerics`
    expect((await pool.query(text)).rows).toEqual([
      {
        numeric: '12345678901234567890',
        int8: '1',
        inet: '10.0.0.1',
        interval: expect.objectContaining({ days: 1 }),
        uuid: 'd70195fd-608e-42dc-b0f5-eee975a621e9',
        point: { x: 1, y: 2 },
        range: '[1,5)',
        bits: '101',
        text: '<a/>',
        char: 'a',
        float4: 4.5,
        bool: true,
        bytea: Buffer.from([1, 2]),
        json: { a: null },
        numerics: [1.5, null],
      },
    ])
  })

  test('dates go there and back', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await pool.query('create temp table dates (a date, b timestamp, c timestamptz)')
    const now = new Date()
    await pool.query('insert into dates values ($1, $2, $3)', [now, now, now])
    const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate())
    expect((await pool.query('select * from dates')).rows).toEqual([{ a: midnight, b: now, c: now }])
    expect((await pool.query("select 'infinity'::timestamptz as it")).rows).toEqual([{ it: Number.POSITIVE_INFINITY }])
  })

  test('an object goes there and back as JSON', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await pool.query('create temp table users (id uuid primary key default gen_random_uuid(), data jsonb)')
    const data = { email: 'somebody@example.com' }
    await pool.query('insert into users (data) values ($1)', [data])
    expect((await pool.query('select * from users')).rows).toEqual([{ id: expect.any(String), data }])
  })

  test('values are parsed as pg.types says, also by clients that are open already', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const text = "select 5::int8 as big, '2026-01-02'::date as date"
    await pool.query(text)
    pg.types.setTypeParser(INT8, BigInt)
    pg.types.setTypeParser(DATE, (value) => value)
    expect((await pool.query(text)).rows).toEqual([{ big: 5n, date: '2026-01-02' }])
  })

  test('values are parsed as pg.defaults says', async ({ direct }) => {
    await using pool = open(direct)
    ;(pg.defaults as { parseInt8: boolean }).parseInt8 = true
    expect((await pool.query('select 5::int8 as big, array[6]::int8[] as bigs')).rows).toEqual([{ big: 5, bigs: [6] }])
  })

  test("values are parsed as the pool's own set says, for every statement of every client", async ({ direct }) => {
    const own = new pg.TypeOverrides()
    own.setTypeParser(INT8, BigInt)
    await using pool = open({ ...direct, types: own as never })
    const client = await pool.connect()
    for (const runner of [pool, client, pool])
      expect((await (runner as pg.Pool).query('select 5::int8 as big, 1 as one')).rows).toEqual([{ big: 5n, one: 1 }])
    client.release()
  })
})
