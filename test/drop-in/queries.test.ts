import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { calledWith, told, withClient } from './support/observing.ts'

interface Runner {
  query(...all: unknown[]): Promise<pg.QueryResult>
}

const WAYS = [
  { way: 'pool.query', use: (pool: pg.Pool, work: (runner: Runner) => Promise<void>) => work(pool as never) },
  {
    way: 'client.query',
    use: (pool: pg.Pool, work: (runner: Runner) => Promise<void>) =>
      withClient(pool, (client) => work(client as never)),
  },
]

/** https://node-postgres.com/features/queries and https://node-postgres.com/apis/result, both ways. */
describe.each(LIBRARIES)('$library: queries', ({ library, open }) => {
  test.for(WAYS)('queries convert values of every kind, through $way', async ({ use }, { direct }) => {
    await using pool = open(direct)
    const bytes = Buffer.from([0, 1, 254, 255])
    const date = new Date('2026-01-02T03:04:05.678Z')
    const money = { toPostgres: (prepare: (value: unknown) => unknown) => prepare([7, { nested: true }]) }
    const cases: [type: string, value: unknown, received: unknown][] = [
      ['text', null, null],
      ['text', undefined, null],
      ['int', 42, 42],
      ['int8', 9007199254740993n, '9007199254740993'],
      ['float8', Number.NaN, Number.NaN],
      ['float8', Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
      ['bool', false, false],
      ['timestamptz', date, date],
      ['bytea', bytes, bytes],
      ['bytea', new Uint8Array([1, 2, 3]).subarray(1), Buffer.from([2, 3])],
      ['int[]', [1, null, 3], [1, null, 3]],
      [
        'text[]',
        [
          ['a', 'b"'],
          ['c\\', 'null'],
        ],
        [
          ['a', 'b"'],
          ['c\\', 'null'],
        ],
      ],
      ['bytea[]', [bytes], [bytes]],
      ['timestamptz[]', [date], [date]],
      ['jsonb', { a: [1, 'two', null] }, { a: [1, 'two', null] }],
      ['jsonb', JSON.stringify([1, 2]), [1, 2]],
      ['text', {}, '{}'],
      ['text[]', money, ['7', '{"nested":true}']],
      ['text', 'plain', 'plain'],
      ['text', '', ''],
      ['uuid', 'd70195fd-608e-42dc-b0f5-eee975a621e9', 'd70195fd-608e-42dc-b0f5-eee975a621e9'],
    ]
    await use(pool, async (runner) => {
      for (const [type, value, received] of cases)
        expect((await runner.query(`select $1::${type} as it`, [value])).rows).toEqual([{ it: received }])
    })
  })

  test.for(WAYS)('queries take every form of a config object, through $way', async ({ use }, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const text = 'select $1::int as a, $1::int + 1 as a'
    const shouting = { getTypeParser: () => (value: unknown) => `${value}!` }
    await use(pool, async (runner) => {
      expect((await runner.query({ text, values: [1] })).rows).toEqual([{ a: 2 }])
      expect((await runner.query({ text, values: [1], rowMode: 'array' })).rows).toEqual([[1, 2]])
      expect((await runner.query({ text, rowMode: 'array' }, [1])).rows).toEqual([[1, 2]])
      expect((await runner.query({ text, values: [1], types: shouting })).rows).toEqual([{ a: '2!' }])
      expect((await runner.query({ text, values: [1], name: 'named', rowMode: 'array' })).rows).toEqual([[1, 2]])
      expect((await runner.query({ name: 'named', values: [3], rowMode: 'array' })).rows).toEqual([[3, 4]])
      expect((await runner.query({ text: 'select 1 as a', queryMode: 'extended' })).rows).toEqual([{ a: 1 }])
      const inPages = { text: 'select generate_series(1, 5) as a', rows: 2 }
      expect((await runner.query(inPages)).rows).toEqual([1, 2, 3, 4, 5].map((a) => ({ a })))
      expect((await runner.query({ text: 'select 1::int4 as a', binary: true, values: [] })).rows).toEqual([{ a: 1 }])
    })
  })

  test.for(WAYS)('queries leave the config object as it was, through $way', async ({ way, use }, { direct }) => {
    await using pool = open(direct)
    const config = Object.freeze({ text: 'select $1::int as it', values: Object.freeze([1]), query_timeout: 10_000 })
    await use(pool, async (runner) => {
      // Before pg 8.23 its pool put a callback into it.
      if (library === 'pg.Pool' && way === 'pool.query' && !('pipeline' in new pg.Client()))
        return expect(await rejection(runner.query(config))).toBeInstanceOf(TypeError)
      for (let time = 1; time <= 2; time++) expect((await runner.query(config)).rows).toEqual([{ it: 1 }])
      return undefined
    })
    expect(config).toEqual({ text: 'select $1::int as it', values: [1], query_timeout: 10_000 })
  })

  test.for(WAYS)(
    'queries take a config whose properties are hidden or inherited, through $way',
    async ({ use }, { direct }) => {
      class Base {
        get text(): string {
          return 'select 0 as a'
        }
      }
      class Own extends Base {
        constructor() {
          super()
          Object.defineProperty(this, 'text', { value: 'select 1 as a', enumerable: true })
        }
      }
      class Getters {
        get text(): string {
          return 'select $1::int as a'
        }
        get values(): number[] {
          return [2]
        }
      }
      const hidden = Object.defineProperties({}, { text: { value: 'select $1::int as a' }, values: { value: [3] } })
      const named = Object.defineProperty({ text: 'select 4 as a' }, 'name', { value: 'hidden' })
      await using pool = open({ ...direct, max: 1 })
      await use(pool, async (runner) => {
        const rows: unknown[] = []
        for (const config of [new Own(), new Getters(), hidden, named]) rows.push(...(await runner.query(config)).rows)
        expect(rows).toEqual([1, 2, 3, 4].map((a) => ({ a })))
        const prepared = await runner.query('select from pg_prepared_statements where name = $1', ['hidden'])
        expect(prepared.rowCount).toBe(1)
      })
    },
  )

  test.for(WAYS)(
    'queries take null or false for a callback that is not there, through $way',
    async ({ use }, { direct }) => {
      await using pool = open(direct)
      await use(pool, async (runner) => {
        for (const none of [null, undefined, false])
          expect((await runner.query('select $1::int as it', [1], none)).rows).toEqual([{ it: 1 }])
      })
    },
  )

  test.for(WAYS)('queries describe their result, through $way', async ({ use }, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await use(pool, async (runner) => {
      const result = await runner.query('select 1 as one, now() as two from (values (1), (2)) as v')
      expect(result.constructor.name).toBe('Result')
      expect(result).toMatchObject({ command: 'SELECT', rowCount: 2, oid: null })
      expect(result.fields.map(({ name, dataTypeID, format }) => [name, dataTypeID, format])).toEqual([
        ['one', pg.types.builtins.INT4, 'text'],
        ['two', pg.types.builtins.TIMESTAMPTZ, 'text'],
      ])
      expect(await runner.query('create temp table item (id int)')).toMatchObject({
        command: 'CREATE',
        rowCount: null,
        rows: [],
        fields: [],
      })
      expect(await runner.query('insert into item select generate_series(1, 3)')).toMatchObject({
        command: 'INSERT',
        rowCount: 3,
        oid: 0,
        rows: [],
      })
      expect(await runner.query('update item set id = id where id > 1')).toMatchObject({
        command: 'UPDATE',
        rowCount: 2,
      })
      expect(await runner.query('select from item where id > 9')).toMatchObject({ rowCount: 0, rows: [] })
      expect(await runner.query('begin; lock table item; commit')).toMatchObject([
        { command: 'BEGIN', rowCount: null },
        { command: 'LOCK', rowCount: null },
        { command: 'COMMIT', rowCount: null },
      ])
      expect(await runner.query('delete from item returning id')).toMatchObject({ command: 'DELETE', rowCount: 3 })
    })
  })

  test.for(WAYS)('invalid queries are refused by the driver as ever, through $way', async ({ use }, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await use(pool, async (runner) => {
      await runner.query({ name: 'mine', text: 'select 1' })
    })
    await use(pool, async (runner) => {
      await runner.query({ name: 'mine', text: 'select 1' })
      const other = rejection(runner.query({ name: 'mine', text: 'select 2' }))
      expect(await other).toMatchObject({ message: expect.stringContaining('Prepared statements must be unique') })
    })
    await use(pool, async (runner) => {
      const noArray = rejection(runner.query({ text: 'select $1', values: 'x' }))
      expect(await noArray).toMatchObject({ message: 'Query values must be an array' })
    })
    await use(pool, async (runner) => {
      const nothing = rejection(runner.query({ values: [1] }))
      expect(await nothing).toMatchObject({ message: expect.stringContaining('either text or a name') })
    })
    await use(pool, async (runner) => {
      expect((await settles(runner.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
  })

  test.for(WAYS)('queries fail with every field of the server, through $way', async ({ use }, { direct }) => {
    await using pool = open(direct)
    await use(pool, async (runner) => {
      await runner.query('insert into entry values ($1) on conflict do nothing', ['twice'])
      const error = await rejection(runner.query('insert into entry values ($1)', ['twice']))
      expect(error).toBeInstanceOf(pg.DatabaseError)
      expect(error).toMatchObject({
        name: 'error',
        severity: 'ERROR',
        code: '23505',
        schema: 'public',
        table: 'entry',
        constraint: 'entry_pkey',
        detail: 'Key (id)=(twice) already exists.',
        routine: expect.any(String),
      })
      expect(error.stack).toContain('queries.test.ts')
    })
  })

  test.for(WAYS)(
    'queries fail when a type parser throws, and harm no other statement, through $way',
    async ({ use }, { direct }) => {
      await using pool = open({ ...direct, max: 1 })
      const broken = {
        getTypeParser: () => () => {
          throw new Error('cannot be parsed')
        },
      }
      await use(pool, async (runner) => {
        const failing = rejection(runner.query({ text: 'select 1 as it', types: broken }))
        expect(await failing).toMatchObject({ message: 'cannot be parsed' })
      })
      await use(pool, async (runner) => {
        expect((await settles(runner.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
      })
    },
  )

  test('many queries run at once on one pool', async ({ direct }) => {
    await using pool = open({ ...direct, max: 4 })
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, number) => pool.query('select $1::int as it', [number])),
    )
    expect(results.map(({ rows }) => rows[0].it)).toEqual(Array.from({ length: 200 }, (_, number) => number))
  })
})

/** https://node-postgres.com/apis/client: "client.query with a Submittable" */
describe.each(LIBRARIES)('$library: a query object', ({ open }) => {
  test('a query object is returned, and emits rows, and its end with the result', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const query = new pg.Query('select generate_series(1, $1::int) as n', [3])
      const rows: unknown[] = []
      query.on('row', (row, result) => rows.push([row, result?.fields.length]))
      const ended = told(query, 'end')
      expect(client.query(query)).toBe(query)
      const [result] = await ended
      expect(rows).toEqual([1, 2, 3].map((n) => [{ n }, 1]))
      expect(result).toMatchObject({ command: 'SELECT', rowCount: 3, rows: [] })
    })
  })

  test('a query object calls back if it is given a callback', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const run = client.query.bind(client) as unknown as (...all: unknown[]) => unknown
      const second = calledWith((done) => run(new pg.Query('select 1 as one'), done))
      expect(await second).toMatchObject([null, { rows: [{ one: 1 }] }])
      const third = calledWith((done) => run(new pg.Query('select 1 as one'), undefined, done))
      expect(await third).toMatchObject([null, { rows: [{ one: 1 }] }])
      const failing = calledWith((done) => run(new pg.Query('select nonsense'), done))
      expect(await failing).toMatchObject([{ code: '42703' }])
      const own = new pg.Query({ text: 'select 1 as one', rowMode: 'array' } as never)
      expect(await calledWith((done) => run(Object.assign(own, { callback: done })))).toMatchObject([
        null,
        { rows: [[1]] },
      ])
    })
  })

  test('a query object waits for the statements before it, and the ones behind it for it', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const order: string[] = []
      const before = client.query('select pg_sleep(0.05)').then(() => order.push('before'))
      const query = client.query(new pg.Query('select 1')).on('end', () => order.push('object'))
      query.on('row', () => {})
      await client.query('select 2').then(() => order.push('behind'))
      await before
      expect(order).toEqual(['before', 'object', 'behind'])
    })
  })

  test('a query object that fails leaves the client usable, and emits no end', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const query = new pg.Query('select 1 / (3 - n) as it from generate_series(1, 5) as n')
      const events: string[] = []
      for (const event of ['row', 'end', 'error']) query.on(event as 'end', () => events.push(event))
      const failed = told(query, 'error')
      client.query(query)
      await failed
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(events.at(-1)).toBe('error')
      expect(events).not.toContain('end')
    })
  })
})
