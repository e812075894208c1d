import type { LeasedClient, PoolOptions } from '@holdfast/core'
import { Pool } from '@holdfast/core'
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

  test('is constructed with nothing, with its options, or with those of pg.Pool', () => {
    expectTypeOf(Pool).toBeConstructibleWith()
    expectTypeOf(Pool).toBeConstructibleWith({ max: 3, prePing: { idleMillis: 0 }, connectRetry: { retries: 2 } })
    expectTypeOf<pg.PoolConfig>().toExtend<PoolOptions>()
  })

  test('tells its counts', () => {
    expectTypeOf(pool.totalCount).toBeNumber()
    expectTypeOf(pool.idleCount).toBeNumber()
    expectTypeOf(pool.waitingCount).toBeNumber()
    expectTypeOf(pool.expiredCount).toBeNumber()
  })
})

describe('connect', () => {
  test('resolves to a client that is released by hand or by `using`', () => {
    expectTypeOf(pool.connect()).resolves.toEqualTypeOf<LeasedClient>()
    expectTypeOf<LeasedClient>().toExtend<pg.PoolClient>()
    expectTypeOf<LeasedClient>().toExtend<AsyncDisposable & Disposable>()
    expectTypeOf<LeasedClient['release']>().parameters.toEqualTypeOf<[err?: Error | boolean | undefined]>()
  })

  test('takes a callback, and then returns nothing', () => {
    const returned = pool.connect((error, client, release) => {
      expectTypeOf(error).toEqualTypeOf<Error | undefined>()
      expectTypeOf(client).toEqualTypeOf<LeasedClient | undefined>()
      expectTypeOf(release).toBeCallableWith(true)
    })
    expectTypeOf(returned).toBeVoid()
  })

  test('takes the callbacks that pg.Pool takes', () => {
    type PgCallback = Parameters<pg.Pool['connect']>[0]
    const connect: (callback: PgCallback) => void = (callback) => pool.connect(callback)
    expectTypeOf(connect).parameter(0).toEqualTypeOf<PgCallback>()
  })
})

describe('query', () => {
  test('gives rows of any shape, as pg does', () => {
    expectTypeOf(pool.query('select 1')).resolves.toEqualTypeOf<pg.QueryResult>()
  })

  test('gives rows of the shape that was named', () => {
    expectTypeOf(pool.query<Account>('select * from account')).resolves.toEqualTypeOf<pg.QueryResult<Account>>()
    expectTypeOf(pool.query<Account>({ text: 'select * from account' })).resolves.toEqualTypeOf<
      pg.QueryResult<Account>
    >()
    expectTypeOf(pool.query<Account>('select * from account where id = $1', [1]))
      .resolves.toHaveProperty('rows')
      .toEqualTypeOf<Account[]>()
  })

  test('gives rows as arrays in row mode', () => {
    expectTypeOf(pool.query<[number, string]>({ text: 'select 1, 2', rowMode: 'array' })).resolves.toEqualTypeOf<
      pg.QueryArrayResult<[number, string]>
    >()
  })

  test('checks the types of the values, if they are named', () => {
    expectTypeOf(pool.query<Account, [number]>('select * from account where id = $1', [1])).resolves.toBeObject()
    // @ts-expect-error: a string is no number
    void pool.query<Account, [number]>('select * from account where id = $1', ['1'])
  })

  test('takes callbacks', () => {
    pool.query<Account>('select 1', (error, result) => {
      expectTypeOf(error).toEqualTypeOf<Error>()
      expectTypeOf(result).toEqualTypeOf<pg.QueryResult<Account>>()
    })
    pool.query<Account>('select $1', [1], (_error, result) => {
      expectTypeOf(result.rows).toEqualTypeOf<Account[]>()
    })
  })

  test('hands back what can be submitted', () => {
    const cursor = { submit: () => {}, read: () => 1 }
    expectTypeOf(pool.query(cursor)).toEqualTypeOf<typeof cursor>()
  })

  test('of a leased client is typed the same', async () => {
    const client = await pool.connect()
    expectTypeOf(client.query<Account>('select 1')).resolves.toEqualTypeOf<pg.QueryResult<Account>>()
  })
})

describe('events', () => {
  test('hand over what those of pg.Pool hand over', () => {
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
  test('resolves, or calls back', () => {
    expectTypeOf(pool.end()).resolves.toBeVoid()
    expectTypeOf(pool.end(() => {})).toBeVoid()
  })
})
