import type { PoolOptions, PrePingOptions, ResetFunction, ResetPolicy, RetryOptions } from '@holdfast/core'
import { describe, expectTypeOf, test } from 'vitest'

describe('PoolOptions', () => {
  test('take undefined for every key, under exactOptionalPropertyTypes too', () => {
    // But for `stream`, where @types/pg forgot it.
    expectTypeOf<Record<Exclude<keyof PoolOptions, 'stream'>, undefined>>().toExtend<PoolOptions>()
  })

  test('take all that pg.Pool takes', () => {
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

  test('let a hook be awaited', () => {
    expectTypeOf<{ onConnect: () => Promise<void> }>().toExtend<PoolOptions>()
  })

  test('refuse other types', () => {
    expectTypeOf<{ max: string }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ prePing: 'yes' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ prePing: { idleMillis: '1' } }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ invalidateOnDisconnect: 'some' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ resetOnReturn: 'abort' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ connectRetry: 'often' }>().not.toExtend<PoolOptions>()
    expectTypeOf<{ connectionTimeoutMillis: '5s' }>().not.toExtend<PoolOptions>()
  })

  test('refuse what is none', () => {
    // @ts-expect-error: a typo
    const typo: PoolOptions = { maxUse: 3 }
    // @ts-expect-error: SQLAlchemy's word
    const foreign: PoolOptions = { pool_pre_ping: true }
    expectTypeOf([typo, foreign]).toEqualTypeOf<PoolOptions[]>()
  })
})

test('the parts of the options have names', () => {
  expectTypeOf<PoolOptions['prePing']>().toEqualTypeOf<boolean | PrePingOptions | undefined>()
  expectTypeOf<PoolOptions['connectRetry']>().toEqualTypeOf<boolean | RetryOptions | undefined>()
  expectTypeOf<PoolOptions['resetOnReturn']>().toEqualTypeOf<ResetPolicy | undefined>()
  expectTypeOf<ResetPolicy>().toEqualTypeOf<'rollback' | 'commit' | 'session' | 'discard' | 'none' | ResetFunction>()
})
