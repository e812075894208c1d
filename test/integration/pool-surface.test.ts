import { Pool } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, StockPool } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

const LIBRARIES = [
  { library: 'pg.Pool', open: (config: pg.PoolConfig) => new StockPool(config) },
  { library: 'Holdfast', open: (config: pg.PoolConfig) => holdfast(config as object) },
]

interface Called {
  readonly error: Error | null | undefined
  readonly rows: unknown
}

/** Runs something that takes a callback, and says what the callback was given, and that it was not called at once. */
function called(
  start: (callback: (error: Error | null | undefined, result?: pg.QueryResult) => void) => unknown,
): Promise<Called> {
  const result = new Promise<Called>((resolve, reject) => {
    let hasReturned = false
    const returned = start((error, answer) => {
      if (hasReturned) resolve({ error, rows: answer?.rows })
      else reject(new Error('The callback was called before the call returned.'))
    })
    if (returned !== undefined) reject(new Error('A call with a callback returned something.'))
    hasReturned = true
  })
  return settles(result, 'the callback')
}

describe.each(LIBRARIES)('$library: query', ({ open }) => {
  test('query takes a text', async ({ direct }) => {
    await using pool = open(direct)
    const result = await pool.query('select 1 as one, null as nothing')
    expect(result).toMatchObject({ command: 'SELECT', rowCount: 1, rows: [{ one: 1, nothing: null }] })
    expect(result.fields.map(({ name }) => name)).toEqual(['one', 'nothing'])
  })

  test('query takes a text and values', async ({ direct }) => {
    await using pool = open(direct)
    const values = [1, 'two', new Date(0), null, [3, 4]]
    const text = 'select $1::int as a, $2::text as b, $3::timestamptz as c, $4::text as d, $5::int[] as e'
    expect((await pool.query(text, values)).rows).toEqual([{ a: 1, b: 'two', c: new Date(0), d: null, e: [3, 4] }])
  })

  test('query takes a config object, with the values inside or beside it', async ({ direct }) => {
    await using pool = open(direct)
    const text = 'select $1::text as it'
    expect((await pool.query({ text, values: ['inside'] })).rows).toEqual([{ it: 'inside' }])
    expect((await pool.query({ text }, ['beside'])).rows).toEqual([{ it: 'beside' }])
  })

  test('query returns arrays in row mode array', async ({ direct }) => {
    await using pool = open(direct)
    expect((await pool.query({ text: 'select 1 as a, 2 as a', rowMode: 'array' })).rows).toEqual([[1, 2]])
  })

  test('query prepares a named statement once', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const named = { name: 'by-id', text: 'select $1::int as it' }
    for (const value of [1, 2]) expect((await pool.query({ ...named, values: [value] })).rows).toEqual([{ it: value }])
    const { rows } = await pool.query('select name, generic_plans + custom_plans as runs from pg_prepared_statements')
    expect(rows).toEqual([{ name: 'by-id', runs: '2' }])
  })

  test('query returns one result per statement of a text', async ({ direct }) => {
    await using pool = open(direct)
    const results = (await pool.query('select 1 as a; select 2 as b')) as unknown as pg.QueryResult[]
    expect(results.map(({ rows }) => rows)).toEqual([[{ a: 1 }], [{ b: 2 }]])
  })

  test('query takes an empty text', async ({ direct }) => {
    await using pool = open(direct)
    expect((await pool.query('')).rows).toEqual([])
  })

  test('query calls back, in every form', async ({ direct }) => {
    await using pool = open(direct)
    const one = { error: undefined, rows: [{ one: 1 }] }
    const text = 'select $1::int as one'
    expect(await called((done) => pool.query('select 1 as one', done))).toEqual(one)
    expect(await called((done) => pool.query(text, [1], done))).toEqual(one)
    expect(await called((done) => pool.query({ text, values: [1] }, done))).toEqual(one)
  })

  test('query calls back with an error', async ({ direct }) => {
    await using pool = open(direct)
    const { error, rows } = await called((done) => pool.query('select nonsense', done))
    expect(error).toMatchObject({ code: '42703' })
    expect(rows).toBeUndefined()
  })

  test('query rejects with the error of the server, and its fields', async ({ direct }) => {
    await using pool = open(direct)
    const error = await rejection(pool.query('select nonsense'))
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error).toMatchObject({ severity: 'ERROR', code: '42703', position: '8' })
    expect(error.stack).toContain('pool-surface.test.ts')
  })

  test('query rejects what is no query, and a value that cannot be sent; the pool goes on', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const unsendable = {
      toPostgres() {
        throw new Error('cannot be sent')
      },
    }
    expect(await rejection(pool.query(undefined as never))).toBeInstanceOf(TypeError)
    expect(await rejection(pool.query('select $1::text', [unsendable]))).toMatchObject({ message: 'cannot be sent' })
    expect(await rejection(pool.query({} as never))).toBeInstanceOf(Error)
    expect((await settles(pool.query('select 1 as one'), 'the next query')).rows).toEqual([{ one: 1 }])
    await until(() => pool.idleCount === 1 && pool.totalCount === 1)
  })

  test('query calls a function that is given instead of a query, with an error', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const { error } = await called((done) => {
      pool.query(done as never)
    })
    expect(error).toMatchObject({ message: 'Passing a function as the first parameter to pool.query is not supported' })
    expect((await settles(pool.query('select 1 as one'), 'the next query')).rows).toEqual([{ one: 1 }])
  })

  test('query parses types as the pool, or the query, says', async ({ direct }) => {
    const shouting = { getTypeParser: () => (value: unknown) => `${value}!` }
    await using pool = open({ ...direct, types: shouting as never })
    expect((await pool.query('select 1 as it')).rows).toEqual([{ it: '1!' }])
    const whispering = { getTypeParser: () => (value: unknown) => `${value}...` }
    expect((await pool.query({ text: 'select 1 as it', types: whispering as never })).rows).toEqual([{ it: '1...' }])
  })

  test("query goes by pg's own type parsers", async ({ direct }) => {
    await using pool = open(direct)
    const text = 'select 9007199254740993 as big, \'{"a":1}\'::jsonb as json, 1.50::numeric as number'
    expect((await pool.query(text)).rows).toEqual([{ big: '9007199254740993', json: { a: 1 }, number: '1.50' }])
  })

  test('query runs no more at a time than max allows', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 3 })
    const counts = await Promise.all(
      Array.from({ length: 20 }, async () => {
        await pool.query('select pg_sleep(0.01)')
        return pool.totalCount
      }),
    )
    expect(Math.max(...counts)).toBe(3)
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(3)
  })
})

describe.each(LIBRARIES)('$library: connect', ({ open }) => {
  test('connect resolves with a client of pg', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    expect(client).toBeInstanceOf(pg.Client)
    // Drizzle takes whatever has such a name for a pool.
    expect(client.constructor.name).not.toContain('Pool')
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 0, 0])
    client.release()
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0])
  })

  test('connect calls back with a client and its release', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    for (const _ of ['a new one', 'an idle one']) {
      const released = new Promise<void>((resolve, reject) => {
        let hasReturned = false
        const returned = pool.connect((error, client, release) => {
          if (error || !client || !hasReturned)
            return reject(error ?? new Error('called too early, or without a client'))
          client.query('select 1', (failure) => {
            release()
            if (failure) reject(failure)
            else resolve()
          })
        })
        if (returned !== undefined) reject(new Error('A call with a callback returned something.'))
        hasReturned = true
      })
      await settles(released, 'the callback')
      expect(pool.idleCount).toBe(1)
    }
  })

  test('connect calls back with an error, and a release that does nothing', async ({ direct }) => {
    await using pool = open({ ...direct, password: 'wrong' })
    const given = await settles(
      new Promise<unknown[]>((resolve) => {
        void pool.connect((...all) => resolve(all))
      }),
      'the callback',
    )
    expect(given).toEqual([expect.objectContaining({ code: '28P01' }), undefined, expect.any(Function)])
    expect(() => (given[2] as () => void)()).not.toThrow()
  })

  test('connect gives a client that takes callbacks, query objects and notifications', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    expect(await called((done) => client.query('select 1 as one', done))).toEqual({ error: null, rows: [{ one: 1 }] })
    expect(await called((done) => client.query('select $1::int as one', [1], done))).toEqual({
      error: null,
      rows: [{ one: 1 }],
    })

    const query = client.query(new pg.Query('select generate_series(1, 3) as n'))
    const rows: unknown[] = []
    await settles(
      new Promise<void>((resolve, reject) => {
        query
          .on('row', (row) => rows.push(row))
          .on('error', reject)
          .on('end', () => resolve())
      }),
      'the query object',
    )
    expect(rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])

    const notified = new Promise((resolve) => client.once('notification', ({ payload }) => resolve(payload)))
    await client.query('listen news')
    await pool.query("notify news, 'hello'")
    expect(await settles(notified, 'the notification')).toBe('hello')
    client.release()
  })

  test('a client of connect gives a query object its error', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    const query = client.query(new pg.Query('select nonsense'))
    const failed = new Promise((resolve) => query.on('error', resolve))
    expect(await settles(failed, 'the error')).toMatchObject({ code: '42703' })
    client.release()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test.for([{ discard: true }, { discard: new Error('spoilt') }])(
    'a client released with $discard is closed',
    async ({ discard }, { direct }) => {
      await using pool = open({ ...direct, max: 1 })
      const pid = async (): Promise<unknown> => (await pool.query('select pg_backend_pid()')).rows[0]
      const before = await pid()
      const client = await pool.connect()
      client.release(discard)
      expect(await pid()).not.toEqual(before)
    },
  )

  test('a client that was ended by its user is closed', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    await (client as unknown as pg.Client).end()
    client.release()
    expect((await settles(pool.query('select 1 as one'), 'the next query')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('connect serves callers in the order in which they came', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const order: number[] = []
    await Promise.all(
      [1, 2, 3, 4, 5].map(async (caller) => {
        const client = await pool.connect()
        order.push(caller)
        await client.query('select 1')
        client.release()
      }),
    )
    expect(order).toEqual([1, 2, 3, 4, 5])
  })
})

describe.each(LIBRARIES)('$library: end', ({ open }) => {
  test('end resolves, with every session gone', async ({ cluster, direct }) => {
    const pool = open(direct)
    await Promise.all([pool.query('select 1'), pool.query('select 2')])
    await settles(pool.end(), 'end()')
    expect([pool.ending, pool.ended, pool.totalCount]).toEqual([true, true, 0])
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
  })

  test('end calls back', async ({ direct }) => {
    const pool = open(direct)
    await pool.query('select 1')
    const given = await settles(
      new Promise<unknown[]>((resolve) => void pool.end((...all: unknown[]) => resolve(all))),
      'the callback',
    )
    expect(given[0]).toBeUndefined()
    expect(pool.ended).toBe(true)
  })

  test('end resolves on a pool that was never used', async ({ direct }) => {
    const pool = open(direct)
    await settles(pool.end(), 'end()')
    expect(pool.ended).toBe(true)
  })
})

describe.each(LIBRARIES)('$library: options', ({ open }) => {
  test('a pool takes a connection string', async ({ cluster }) => {
    await using pool = open({ connectionString: cluster.url, application_name: 'by-url' })
    const { rows } = await pool.query(
      "select current_user as who, current_setting('application_name') as name, ssl from pg_stat_ssl where pid = pg_backend_pid()",
    )
    expect(rows).toEqual([{ who: 'app', name: 'by-url', ssl: true }])
  })

  test('a pool passes on what is for the session', async ({ direct }) => {
    await using pool = open({ ...direct, statement_timeout: 12_345, options: '-c search_path=pg_catalog' })
    const { rows } = await pool.query(
      "select current_setting('statement_timeout') as timeout, current_setting('search_path') as path",
    )
    expect(rows).toEqual([{ timeout: '12345ms', path: 'pg_catalog' }])
  })

  test('a pool shows the options in force', async ({ direct }) => {
    await using pool = open({ ...direct, max: 7 })
    expect(pool.options).toMatchObject({ max: 7, min: 0, host: direct.host, port: direct.port })
    expect(JSON.stringify(pool.options)).not.toContain(direct.password)
  })

  test('a pool asks for the password when it is a function', async ({ direct }) => {
    await using pool = open({ ...direct, password: async () => direct.password })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('Holdfast', () => {
  test("Holdfast's Pool is a pg.Pool by its class and by its name", async ({ direct }) => {
    await using pool = new Pool(direct)
    expect(pool).toBeInstanceOf(pg.Pool)
    expect(pool.constructor.name).toBe('Pool')
  })

  test("Holdfast's Pool takes an option that is undefined for absent", async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: undefined, connectionTimeoutMillis: undefined, prePing: undefined })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.options.max).toBe(10)
  })

  test('a pool ends at the end of an await using, as does each lease', async ({ cluster, direct }) => {
    {
      await using pool = new Pool({ ...direct, max: 1 })
      {
        await using client = await pool.connect()
        await client.query('select 1')
        expect(pool.idleCount).toBe(0)
      }
      expect(pool.idleCount).toBe(1)
      {
        using client = await pool.connect()
        await client.query('select 1')
      }
      expect(pool.idleCount).toBe(1)
    }
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(0)
  })

  test('an early release leaves nothing to do for the end of an await using', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    {
      await using former = await pool.connect()
      former.release()
      await using present = await pool.connect()
      await present.query('select 1')
      expect(pool.idleCount).toBe(0)
    }
    expect(pool.idleCount).toBe(1)
  })

  test('a pool that was ended before ends by await using without an error', async ({ direct }) => {
    await using pool = new Pool(direct)
    await pool.query('select 1')
    await pool.end()
    expect(pool.ended).toBe(true)
  })
})
