import type { AttemptInfo, Pool, RunOptions } from '@holdfast/core'
import {
  drain,
  driverFor,
  type HoldfastDataSourceOptions,
  holdfast,
  type TransactionOptions,
  transaction,
} from '@holdfast/typeorm'
import { DataSource, type DataSourceOptions, type EntityManager } from 'typeorm'
import { describe, expectTypeOf, test } from 'vitest'

type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>

declare const source: DataSource
declare const pool: Pool

describe('holdfast', () => {
  test("takes TypeORM's options and Holdfast's, and returns TypeORM's", () => {
    expectTypeOf<Omit<PostgresOptions, 'driver' | 'nativeDriver'>>().toExtend<HoldfastDataSourceOptions>()
    expectTypeOf(holdfast).toBeCallableWith({ type: 'postgres', holdfast: { prePing: { idleMillis: 0 }, max: 3 } })
    expectTypeOf(holdfast).returns.toEqualTypeOf<PostgresOptions>()
    expectTypeOf(DataSource).toBeConstructibleWith(holdfast({ type: 'postgres', url: 'postgres://' }))
    expectTypeOf(source.setOptions).toBeCallableWith(holdfast({ type: 'postgres' }))
  })

  test('refuses another type, a driver, and unknown options', () => {
    // @ts-expect-error another database
    holdfast({ type: 'mysql' })
    // @ts-expect-error it brings the driver
    holdfast({ type: 'postgres', driver: {} })
    // @ts-expect-error pg-native can't be used
    holdfast({ type: 'postgres', nativeDriver: {} })
    // @ts-expect-error the address is given by TypeORM's options
    holdfast({ type: 'postgres', holdfast: { host: 'here' } })
    // @ts-expect-error a typo
    holdfast({ type: 'postgres', holdfast: { prePin: true } })
    // @ts-expect-error a typo in TypeORM's own
    expectTypeOf(holdfast({ type: 'postgres', entitys: [] })).toEqualTypeOf<PostgresOptions>()
  })
})

describe('driverFor', () => {
  test("takes Holdfast's pool, and returns a driver", () => {
    expectTypeOf(driverFor).parameters.toEqualTypeOf<[pool: Pool]>()
    expectTypeOf(DataSource).toBeConstructibleWith({ type: 'postgres', driver: driverFor(pool) })
  })
})

describe('transaction', () => {
  test('infers the result of its function, a promise or not', () => {
    expectTypeOf(transaction(source, async () => 42)).resolves.toEqualTypeOf<number>()
    expectTypeOf(transaction(source, () => 'text')).resolves.toEqualTypeOf<string>()
    expectTypeOf(transaction(source, { retry: false }, async () => ({ id: 1 }))).resolves.toEqualTypeOf<{
      id: number
    }>()
    expectTypeOf(transaction(source, async () => {})).resolves.toEqualTypeOf<void>()
  })

  test("passes TypeORM's manager and the attempt to its function", () => {
    void transaction(source, (manager, info) => {
      expectTypeOf(manager).toEqualTypeOf<EntityManager>()
      expectTypeOf(info).toEqualTypeOf<AttemptInfo>()
    })
    void transaction(source, {}, (manager, { attempt }) => {
      expectTypeOf(manager).toEqualTypeOf<EntityManager>()
      expectTypeOf(attempt).toBeNumber()
    })
    // A function for `dataSource.transaction` fits.
    const count = async (manager: EntityManager): Promise<number> => manager.count('entry')
    expectTypeOf(transaction(source, count)).toEqualTypeOf(source.transaction(count))
  })

  test("takes TypeORM's isolation levels, and the options of every transaction", () => {
    expectTypeOf<TransactionOptions>().toExtend<RunOptions>()
    expectTypeOf<TransactionOptions['isolationLevel']>().toEqualTypeOf<PostgresOptions['isolationLevel']>()
    void transaction(source, { isolationLevel: 'SERIALIZABLE', retry: { retries: 5 } }, () => {})
    // @ts-expect-error TypeORM's are in capitals
    void transaction(source, { isolationLevel: 'serializable' }, () => {})
    // @ts-expect-error nothing to run
    void transaction(source, {})
    // @ts-expect-error the options come first
    void transaction(source, () => {}, {})
  })
})

describe('drain', () => {
  test('resolves with whether everything ended in time', () => {
    expectTypeOf(drain).parameters.toEqualTypeOf<[dataSource: DataSource, millis: number]>()
    expectTypeOf(drain).returns.resolves.toBeBoolean()
  })
})
