import type { Pool, PoolOptions } from '@holdfast/core'
import { HoldfastDialect, type HoldfastDialectConfig, type RetryableTransaction, withRetry } from '@holdfast/kysely'
import type {
  Dialect,
  Generated,
  Kysely,
  PostgresDialect,
  PostgresDialectConfig,
  PostgresPool,
  Transaction,
  TransactionBuilder,
} from 'kysely'
import Cursor from 'pg-cursor'
import { describe, expectTypeOf, test } from 'vitest'

interface Tables {
  account: { id: Generated<number>; owner: string; balance: number }
}

declare const db: Kysely<Tables>
declare const pool: Pool

describe('HoldfastDialect', () => {
  test('is a Kysely dialect, and a PostgresDialect', () => {
    expectTypeOf<HoldfastDialect>().toExtend<Dialect>()
    expectTypeOf<HoldfastDialect>().toExtend<PostgresDialect>()
  })

  test('takes a pool, the options of a pool, or nothing', () => {
    expectTypeOf(HoldfastDialect).toBeConstructibleWith()
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({ pool })
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({ pool: async () => pool })
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({
      connectionString: 'postgres://localhost',
      prePing: true,
      max: 5,
    })
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({ pool: undefined, max: 5 })
    expectTypeOf<PoolOptions>().toExtend<HoldfastDialectConfig>()
  })

  test("takes the other options of Kysely's own dialect", () => {
    type Others = Omit<PostgresDialectConfig, 'pool'>
    expectTypeOf<Others & { pool: Pool }>().toExtend<HoldfastDialectConfig>()
    expectTypeOf<Others & { max: number }>().toExtend<HoldfastDialectConfig>()
    new HoldfastDialect({ pool, cursor: Cursor, onReserveConnection: async (connection) => void connection })
  })

  test('takes `idempotentSelects` beside a pool and beside its options', () => {
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({ pool, idempotentSelects: true })
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({ max: 5, idempotentSelects: false })
    // @ts-expect-error Neither true nor false.
    expectTypeOf(HoldfastDialect).toBeConstructibleWith({ pool, idempotentSelects: 'yes' })
  })

  test('refuses a pool together with the options of a pool', () => {
    expectTypeOf<{ pool: Pool; max: number }>().not.toExtend<HoldfastDialectConfig>()
    // @ts-expect-error Either of them.
    new HoldfastDialect({ pool, connectionString: 'postgres://localhost' })
  })

  test("refuses pools that aren't Holdfast's", () => {
    expectTypeOf<{ pool: PostgresPool }>().not.toExtend<HoldfastDialectConfig>()
    expectTypeOf<{ pool: string }>().not.toExtend<HoldfastDialectConfig>()
    expectTypeOf<{ max: 'many' }>().not.toExtend<HoldfastDialectConfig>()
  })

  test("isn't needed for a Pool, which Kysely's own dialect takes as well", () => {
    expectTypeOf<Pool>().toExtend<PostgresPool>()
  })
})

describe('withRetry', () => {
  test("passes Kysely's own transaction and the number of the attempt to its function", () => {
    void withRetry(db.transaction()).execute(async (trx, info) => {
      expectTypeOf(trx).toEqualTypeOf<Transaction<Tables>>()
      expectTypeOf(info.attempt).toBeNumber()
    })
  })

  test("resolves with the same result as Kysely's own execute", () => {
    const select = (trx: Transaction<Tables>) => trx.selectFrom('account').select(['id', 'owner']).execute()
    const stock = db.transaction().execute(select)
    const ours = withRetry(db.transaction()).execute(select)
    expectTypeOf(ours).toEqualTypeOf<typeof stock>()
    expectTypeOf(ours).resolves.toEqualTypeOf<{ id: number; owner: string }[]>()
    expectTypeOf(withRetry(db.transaction()).execute(() => 7)).resolves.toBeNumber()
  })

  test('takes a configured builder, and keeps its tables', () => {
    const builder = db.transaction().setIsolationLevel('serializable').setAccessMode('read only')
    expectTypeOf(withRetry(builder)).toEqualTypeOf<RetryableTransaction<Tables>>()
    const extended = db.$extendTables<{ session: { token: string } }>().transaction()
    void withRetry(extended).execute((trx) => {
      expectTypeOf(trx.selectFrom('session').select('token').executeTakeFirstOrThrow()).resolves.toEqualTypeOf<{
        token: string
      }>()
    })
    void withRetry(db.transaction()).execute((trx) => {
      // @ts-expect-error There is no such table.
      trx.selectFrom('unknown')
    })
  })

  test('takes `retry`, `signal` and the options of acquiring', () => {
    const { signal } = new AbortController()
    const builder = db.transaction()
    expectTypeOf(withRetry<Tables>).toBeCallableWith(builder, { retry: false })
    expectTypeOf(withRetry<Tables>).toBeCallableWith(builder, {
      retry: { retries: 5 },
      signal,
      connectionTimeoutMillis: 500,
    })
    // @ts-expect-error The options of p-retry are under `retry`.
    expectTypeOf(withRetry<Tables>).toBeCallableWith(builder, { retries: 5 })
  })

  test('refuses anything but the builder of a transaction', () => {
    expectTypeOf<Kysely<Tables>>().not.toExtend<TransactionBuilder<Tables>>()
    // @ts-expect-error A database.
    expectTypeOf(withRetry<Tables>).toBeCallableWith(db)
    // @ts-expect-error A controlled transaction can't run again.
    expectTypeOf(withRetry<Tables>).toBeCallableWith(db.startTransaction())
  })
})
