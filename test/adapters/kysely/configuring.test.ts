import { NullPool, OptionsError, Pool, PoolClosedError } from '@holdfast/core'
import { HoldfastDialect, type HoldfastDialectConfig } from '@holdfast/kysely'
import { Kysely, sql } from 'kysely'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { holdfast, StockPool } from '../../faults/support/pools.ts'
import { rejection } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { entries, kysely, stockKysely, type Tables } from './support/kysely.ts'

describe('HoldfastDialect', () => {
  test('HoldfastDialect runs statements on a pool', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    await db.insertInto('entry').values({ id: 'on a pool' }).execute()
    expect(await entries(db, 'on a pool')).toEqual(['on a pool'])
    expect(pool.status()).toMatchObject({ size: 1, idle: 1 })
  })

  test('HoldfastDialect runs statements on a NullPool', async ({ direct }) => {
    await using pool = new NullPool(direct)
    const db = kysely(pool)
    await db.insertInto('entry').values({ id: 'on a NullPool' }).execute()
    expect(await entries(db, 'on a NullPool')).toEqual(['on a NullPool'])
    await until(() => pool.totalCount === 0)
  })

  test('HoldfastDialect makes a pool of its options', async ({ cluster, direct, applicationName }) => {
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ ...direct, max: 1, prePing: { idleMillis: 0 } }) })
    const asked = Array.from({ length: 3 }, () => sql<{ it: number }>`select 1 as it`.execute(db))
    for (const { rows } of await Promise.all(asked)) expect(rows).toEqual([{ it: 1 }])
    expect(await cluster.countSessions({ applicationName })).toBe(1)
    await db.destroy()
  })

  test('HoldfastDialect calls a function for the pool once, before the first query', async ({ direct }) => {
    let asked = 0
    await using pool = holdfast(direct)
    const dialect = new HoldfastDialect({
      pool: async () => {
        asked++
        return pool
      },
    })
    const db = new Kysely<Tables>({ dialect })
    expect(asked).toBe(0)
    await Promise.all([entries(db, 'none'), entries(db, 'none')])
    expect(asked).toBe(1)
  })

  test('HoldfastDialect calls the function again when it has failed', async ({ direct }) => {
    await using pool = holdfast(direct)
    const answers = [Promise.reject(new RangeError('not yet')), Promise.resolve(pool)]
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ pool: () => answers.shift() as Promise<Pool> }) })
    expect(await rejection(entries(db, 'none'))).toBeInstanceOf(RangeError)
    expect(await entries(db, 'none')).toEqual([])
  })

  test("HoldfastDialect takes a password that is not enumerable from another pool's options", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    expect(Object.keys(pool.options)).not.toContain('password')
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect(pool.options as HoldfastDialectConfig) })
    expect(await entries(db, 'none')).toEqual([])
    await db.destroy()
  })

  test('HoldfastDialect compiles statements without a server', () => {
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect() })
    expect(db.selectFrom('entry').select('id').compile().sql).toBe('select "id" from "entry"')
  })
})

describe('destroy()', () => {
  test("destroy() ends the dialect's own pool", async ({ cluster, direct, applicationName }) => {
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ ...direct, min: 2 }) })
    await entries(db, 'none')
    await db.destroy()
    await until(async () => (await cluster.countSessions({ applicationName })) === 0)
    expect((await rejection(entries(db, 'none'))).message).toBe('driver has already been destroyed')
  })

  test('destroy() leaves no connection open when no query has run', async ({ cluster, direct, applicationName }) => {
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ ...direct, min: 2 }) })
    await db.destroy()
    expect(await cluster.countSessions({ applicationName })).toBe(0)
  })

  test("destroy() ends the pool that it was given, as Kysely's own dialect does", async ({ direct }) => {
    const stockPool = new StockPool(direct)
    const pool = holdfast(direct)
    for (const db of [stockKysely(stockPool), kysely(pool)]) {
      await entries(db, 'none')
      await db.destroy()
    }
    expect([stockPool.ended, pool.ended]).toEqual([true, true])
  })

  test('destroy() cuts off a running query after closeTimeoutMillis', async ({ cluster, direct, applicationName }) => {
    const db = kysely(holdfast({ ...direct, closeTimeoutMillis: 100 }))
    const running = rejection(sql`select pg_sleep('infinity')`.execute(db))
    await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 1)
    await db.destroy()
    expect(await running).toMatchObject({ name: 'ConnectionLostError' })
  })
})

describe('a pool that has ended', () => {
  test('a pool that has ended is refused by HoldfastDialect', async ({ direct }) => {
    const pool = holdfast(direct)
    await pool.end()
    expect(() => new HoldfastDialect({ pool })).toThrow('`pool` must be a pool in use, got one that has ended.')
  })

  test('a pool refuses each query when it has ended after HoldfastDialect got it', async ({ direct }) => {
    const pool = holdfast(direct)
    const db = kysely(pool)
    await pool.end()
    expect(await rejection(entries(db, 'none'))).toBeInstanceOf(PoolClosedError)
  })
})

describe('HoldfastDialect refuses', () => {
  const pool = new Pool()
  const stock = new pg.Pool()

  test.for([
    [
      'a stock pool',
      { pool: stock },
      /^`pool` must be a Pool of '@holdfast\/core', got another pool \(BoundPool\)\. Import Pool from there/,
    ],
    ['no pool at all', { pool: null }, /^`pool` must be a Pool of '@holdfast\/core', got object\. /],
    ['a connection string as pool', { pool: 'postgres://localhost' }, /^`pool` must be .* got string\. /],
    ['a pool in place of its options', pool, /^`HoldfastDialect` takes an object: `\{ pool \}`/],
    ['a stock pool in place of its options', stock, /^`HoldfastDialect` takes an object: `\{ pool \}`/],
    ['a connection string', 'postgres://localhost', /^`HoldfastDialect` takes an object: /],
    ['null', null, /^`HoldfastDialect` takes an object: /],
    ['a pool and options of one', { pool, max: 5 }, /^`max` can't be given beside `pool`/],
    [
      'a misspelt option beside a pool',
      { pool, onCreateConection: async () => {} },
      /^`onCreateConection` can't be given/,
    ],
    ['a hook that is none', { pool, onReserveConnection: 'set role app' }, /^`onReserveConnection` must be a function/],
    ['a cursor that is none', { cursor: {} }, /^`cursor` must be a function or a class, got object\.$/],
    ['an option that the pool refuses', { max: 0 }, /^`max` must be a whole number from 1 on, got 0\.$/],
  ] as const)('HoldfastDialect refuses %s', ([, config, message]) => {
    const construct = (): unknown => new HoldfastDialect(config as never)
    expect(construct).toThrow(OptionsError)
    expect(construct).toThrow(message)
  })

  test('HoldfastDialect refuses several wrong options in one error', () => {
    let problems: readonly string[] = []
    try {
      new HoldfastDialect({ pool, max: 5, host: 'here', cursor: 1, idempotentSelects: 1 } as never)
    } catch (error) {
      problems = (error as OptionsError).problems
    }
    expect(problems.map((each) => each.split(' ')[0])).toEqual(['`cursor`', '`idempotentSelects`', '`max`', '`host`'])
  })

  test('HoldfastDialect refuses no option whose value is undefined', () => {
    const absent = { pool: undefined, cursor: undefined, onCreateConnection: undefined }
    expect(new HoldfastDialect({ ...absent, max: 5 } as never)).toBeInstanceOf(HoldfastDialect)
    expect(new HoldfastDialect({ pool, max: undefined })).toBeInstanceOf(HoldfastDialect)
  })

  test('HoldfastDialect refuses a stock pool from a function, with the first query', async () => {
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ pool: async () => stock as Pool }) })
    expect(await rejection(entries(db, 'none'))).toBeInstanceOf(OptionsError)
  })

  test('HoldfastDialect refuses a pool from a function that has ended, with the first query', async ({ direct }) => {
    const ended = holdfast(direct)
    await ended.end()
    const db = new Kysely<Tables>({ dialect: new HoldfastDialect({ pool: async () => ended }) })
    expect(await rejection(entries(db, 'none'))).toBeInstanceOf(PoolClosedError)
  })

  test('HoldfastDialect refuses an older Kysely, and names the versions that it supports', () => {
    const { $pickTables } = Kysely.prototype
    Reflect.deleteProperty(Kysely.prototype, '$pickTables')
    try {
      expect(() => new HoldfastDialect()).toThrow(
        new OptionsError(['`kysely` must be >=0.29 <0.30, this one is older.']),
      )
    } finally {
      Object.assign(Kysely.prototype, { $pickTables })
    }
  })
})
