import type { LeasedClient, PoolOptions } from '@holdfast/core'
import { Pool, withPoolOptions } from '@holdfast/core'
import type pg from 'pg'
import { describe, expectTypeOf, test } from 'vitest'

declare const pool: Pool

interface Account {
  id: number
  owner: string
}

describe('Pool', () => {
  test('is assignable to pg.Pool', () => {
    expectTypeOf<Pool>().toExtend<pg.Pool>()
    const forAnOrm: pg.Pool = pool
    expectTypeOf(forAnOrm).toEqualTypeOf<pg.Pool>()
  })

  test('is AsyncDisposable', () => {
    expectTypeOf<Pool>().toExtend<AsyncDisposable>()
  })

  test('is constructed without options, with its own, or with those of pg.Pool', () => {
    expectTypeOf(Pool).toBeConstructibleWith()
    expectTypeOf(Pool).toBeConstructibleWith({ max: 3, prePing: { idleMillis: 0 }, connectRetry: { retries: 2 } })
    expectTypeOf<pg.PoolConfig>().toExtend<PoolOptions>()
  })

  test('has the counts of pg.Pool', () => {
    expectTypeOf(pool.totalCount).toBeNumber()
    expectTypeOf(pool.idleCount).toBeNumber()
    expectTypeOf(pool.waitingCount).toBeNumber()
    expectTypeOf(pool.expiredCount).toBeNumber()
  })
})

describe('reader', () => {
  test('is a pool of the same surface', () => {
    expectTypeOf(pool.reader).toEqualTypeOf<Pool>()
    expectTypeOf(pool.reader.query<Account>('select 1')).resolves.toEqualTypeOf<pg.QueryResult<Account>>()
  })

  test('is aimed at by the options of a scope, which keeps the type of its result', () => {
    const read = () => pool.query<Account>('select 1')
    expectTypeOf(withPoolOptions({ target: 'reader', after: '0/1' }, read)).resolves.toEqualTypeOf<
      pg.QueryResult<Account>
    >()
    // @ts-expect-error: no such target
    void withPoolOptions({ target: 'replica' }, read)
  })
})

describe('connect', () => {
  test('resolves to a client that is released by `release()` or by `using`', () => {
    expectTypeOf(pool.connect()).resolves.toEqualTypeOf<LeasedClient>()
    expectTypeOf<LeasedClient>().toExtend<pg.PoolClient>()
    expectTypeOf<LeasedClient>().toExtend<AsyncDisposable & Disposable>()
    expectTypeOf<LeasedClient['release']>().parameters.toEqualTypeOf<[err?: Error | boolean | undefined]>()
  })

  test('accepts a callback, and then returns nothing', () => {
    const returned = pool.connect((error, client, release) => {
      expectTypeOf(error).toEqualTypeOf<Error | undefined>()
      expectTypeOf(client).toEqualTypeOf<LeasedClient | undefined>()
      expectTypeOf(release).toBeCallableWith(true)
    })
    expectTypeOf(returned).toBeVoid()
  })

  test('accepts the callbacks of pg.Pool', () => {
    type PgCallback = Parameters<pg.Pool['connect']>[0]
    const connect: (callback: PgCallback) => void = (callback) => pool.connect(callback)
    expectTypeOf(connect).parameter(0).toEqualTypeOf<PgCallback>()
  })
})

describe('query', () => {
  test('resolves to rows of any type, as in pg', () => {
    expectTypeOf(pool.query('select 1')).resolves.toEqualTypeOf<pg.QueryResult>()
  })

  test('resolves to rows of the given type', () => {
    expectTypeOf(pool.query<Account>('select * from account')).resolves.toEqualTypeOf<pg.QueryResult<Account>>()
    expectTypeOf(pool.query<Account>({ text: 'select * from account' })).resolves.toEqualTypeOf<
      pg.QueryResult<Account>
    >()
    expectTypeOf(pool.query<Account>('select * from account where id = $1', [1]))
      .resolves.toHaveProperty('rows')
      .toEqualTypeOf<Account[]>()
  })

  test('resolves to rows as arrays in row mode', () => {
    expectTypeOf(pool.query<[number, string]>({ text: 'select 1, 2', rowMode: 'array' })).resolves.toEqualTypeOf<
      pg.QueryArrayResult<[number, string]>
    >()
  })

  test('checks the types of the values, if they are given', () => {
    expectTypeOf(pool.query<Account, [number]>('select * from account where id = $1', [1])).resolves.toBeObject()
    // @ts-expect-error: a string is no number
    void pool.query<Account, [number]>('select * from account where id = $1', ['1'])
  })

  test('accepts callbacks', () => {
    pool.query<Account>('select 1', (error, result) => {
      expectTypeOf(error).toEqualTypeOf<Error>()
      expectTypeOf(result).toEqualTypeOf<pg.QueryResult<Account>>()
    })
    pool.query<Account>('select $1', [1], (_error, result) => {
      expectTypeOf(result.rows).toEqualTypeOf<Account[]>()
    })
  })

  test('returns a submittable', () => {
    const cursor = { submit: () => {}, read: () => 1 }
    expectTypeOf(pool.query(cursor)).toEqualTypeOf<typeof cursor>()
  })

  test('has the same types on a leased client', async () => {
    const client = await pool.connect()
    expectTypeOf(client.query<Account>('select 1')).resolves.toEqualTypeOf<pg.QueryResult<Account>>()
  })
})

describe('events', () => {
  test('have the arguments of those of pg.Pool', () => {
    pool.on('connect', (client) => expectTypeOf(client).toEqualTypeOf<pg.PoolClient>())
    pool.on('acquire', (client) => expectTypeOf(client).toEqualTypeOf<pg.PoolClient>())
    pool.on('remove', (client) => expectTypeOf(client).toEqualTypeOf<pg.PoolClient>())
    pool.on('error', (error, client) => {
      expectTypeOf(error).toEqualTypeOf<Error>()
      expectTypeOf(client).toEqualTypeOf<pg.PoolClient>()
    })
    pool.on('release', (error, client) => {
      expectTypeOf(error).toEqualTypeOf<Error>()
      expectTypeOf(client).toEqualTypeOf<pg.PoolClient>()
    })
  })
})

describe('end', () => {
  test('resolves, or calls a callback', () => {
    expectTypeOf(pool.end()).resolves.toBeVoid()
    expectTypeOf(pool.end(() => {})).toBeVoid()
  })
})
