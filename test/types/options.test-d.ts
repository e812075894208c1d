import type {
  BudgetOptions,
  PoolOptions,
  PrePingOptions,
  PrepareOptions,
  ReplicaOptions,
  ResetFunction,
  ResetPolicy,
  RetryOptions,
  SheddingOptions,
  WatchOptions,
} from '@holdfast/core'
import { describe, expectTypeOf, test } from 'vitest'
import type { OPTIONS, OptionValues } from '../../packages/core/src/options/option-table.ts'
import type { OwnOptions } from '../../packages/core/src/options/pool-options.ts'

describe('PoolOptions', () => {
  test('accept undefined for every key, also under exactOptionalPropertyTypes', () => {
    // Except `stream`, for which @types/pg doesn't allow it.
    expectTypeOf<Record<Exclude<keyof PoolOptions, 'stream'>, undefined>>().toExtend<PoolOptions>()
  })

  test('accept the options of pg.Pool', () => {
    const options: PoolOptions = {
      connectionString: 'postgres://localhost/app',
      ssl: { rejectUnauthorized: true },
      max: 5,
      min: 1,
      idleTimeoutMillis: null,
      statement_timeout: 1000,
      password: async () => 'token',
      onConnect: (client) => {
        void client.query('set role app')
      },
    }
    expectTypeOf(options).toExtend<PoolOptions>()
  })

  test('accept an async onConnect', () => {
    expectTypeOf<{ onConnect: () => Promise<void> }>().toExtend<PoolOptions>()
  })

  test('refuse other types', () => {
    expectTypeOf<{ max: string }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ prePing: 'yes' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ prePing: { idleMillis: '1' } }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ invalidateOnDisconnect: 'some' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ resetOnReturn: 'abort' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ connectRetry: 'often' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ prepare: 'often' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ prepare: { threshold: '5' } }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ connectionTimeoutMillis: '5s' }>().not.toExtend<PoolOptions>()
  })

  test('refuse a key that is not an option', () => {
    // @ts-expect-error: a typo
    const typo: PoolOptions = { maxUse: 3 }
    // @ts-expect-error: SQLAlchemy's word
    const foreign: PoolOptions = { pool_pre_ping: true }
    expectTypeOf([typo, foreign]).toEqualTypeOf<PoolOptions[]>()
  })
})

test('the types of nested options are exported', () => {
  expectTypeOf<PoolOptions['replicas']>().toEqualTypeOf<ReplicaOptions | undefined>()
  expectTypeOf<{ hosts: { host: string }[]; fallback: 'primary' }>().toExtend<ReplicaOptions>()
  expectTypeOf<{ hosts: { host: string }[]; fallback: 'standby' }>().not.toExtend<ReplicaOptions>()
  expectTypeOf<{ fallback: 'primary' }>().not.toExtend<ReplicaOptions>()
  expectTypeOf<PoolOptions['prePing']>().toEqualTypeOf<boolean | PrePingOptions | undefined>()
  expectTypeOf<PoolOptions['connectRetry']>().toEqualTypeOf<boolean | RetryOptions | undefined>()
  expectTypeOf<PoolOptions['resetOnReturn']>().toEqualTypeOf<ResetPolicy | undefined>()
  expectTypeOf<ResetPolicy>().toEqualTypeOf<'rollback' | 'commit' | 'session' | 'discard' | 'none' | ResetFunction>()
})

describe('the table of options', () => {
  type Table = typeof OPTIONS
  type Given = { [Name in keyof OwnOptions]-?: NonNullable<OwnOptions[Name]> }

  test('has exactly the options of the interface', () => {
    expectTypeOf<keyof Table>().toEqualTypeOf<keyof OwnOptions>()
    expectTypeOf<keyof OptionValues>().toEqualTypeOf<keyof OwnOptions>()
    expectTypeOf<keyof OwnOptions>().toExtend<keyof PoolOptions>()
  })

  test('has a default that the option may have, or none', () => {
    type Defaults = { [Name in keyof Table]: Table[Name]['default'] }
    expectTypeOf<Defaults>().toExtend<{ [Name in keyof Given]: Given[Name] | undefined }>()
  })

  test('reads every option into the type that the interface gives it, or into what that stands for', () => {
    type Values = { [Name in keyof Table]: ReturnType<Table[Name]['read']> }
    type Completed =
      | 'hosts'
      | 'budget'
      | 'replicas'
      | 'shedding'
      | 'prePing'
      | 'watch'
      | 'connectRetry'
      | 'prepare'
      | 'echo'
      | 'logger'
      | 'onConnect'
    expectTypeOf<Omit<Values, Completed>>().toEqualTypeOf<Readonly<Omit<Given, Completed>>>()
    expectTypeOf<Pick<Values, 'logger' | 'onConnect'>>().toExtend<Pick<OwnOptions, 'logger' | 'onConnect'>>()
    expectTypeOf<NonNullable<Values['budget']>>().toExtend<BudgetOptions>()
    expectTypeOf<Exclude<Values['shedding'], false>>().toExtend<SheddingOptions>()
    expectTypeOf<Exclude<Values['prePing'], false>>().toExtend<PrePingOptions>()
    expectTypeOf<Exclude<Values['watch'], false>>().toExtend<WatchOptions>()
    expectTypeOf<Exclude<Values['connectRetry'], false>>().toExtend<RetryOptions>()
    expectTypeOf<Exclude<Values['prepare'], false>>().toExtend<PrepareOptions>()
    expectTypeOf<Values['echo']>().toEqualTypeOf<false | 'info' | 'debug'>()
  })
})
