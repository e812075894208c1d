import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import { Pool } from '../../../packages/core/src/pool.ts'

/** What is told about these options; typed as what JavaScript lets pass. */
function problemsOf(options: unknown): readonly string[] {
  try {
    resolveOptions(options as PoolOptions)
  } catch (error) {
    if (error instanceof OptionsError) return error.problems
    throw error
  }
  return []
}

describe('defaults', () => {
  test('are complete', () => {
    expect(resolveOptions({})).toEqual({
      max: 10,
      min: 0,
      connectionTimeoutMillis: 30_000,
      idleTimeoutMillis: 10_000,
      maxLifetimeMillis: Number.POSITIVE_INFINITY,
      maxLifetimeJitter: 0.1,
      maxUses: Number.POSITIVE_INFINITY,
      maxIdle: 10,
      maxWaiting: Number.POSITIVE_INFINITY,
      lifo: true,
      keepaliveMillis: Number.POSITIVE_INFINITY,
      leakDetectionMillis: Number.POSITIVE_INFINITY,
      clientConnectionCheckMillis: 0,
      allowExitOnIdle: false,
      clientPerLease: true,
      prePing: { idleMillis: 500, timeoutMillis: 1000 },
      pingTimeoutMillis: 1000,
      invalidateOnDisconnect: 'all',
      resetOnReturn: 'rollback',
      connectRetry: { retries: Number.POSITIVE_INFINITY, minTimeout: 50, maxTimeout: 1000, factor: 2, randomize: true },
      closeTimeoutMillis: 5000,
      lostCommit: 'resolve',
      commitTimeoutMillis: 30_000,
      queryTimeoutMillis: Number.POSITIVE_INFINITY,
      name: 'holdfast',
      echo: false,
      logger: undefined,
    })
  })

  test('stand in for keys that are present with the value undefined', () => {
    const keys = Object.keys(resolveOptions({})).filter(
      (key) => !['maxLifetimeMillis', 'queryTimeoutMillis'].includes(key),
    )
    const absent = Object.fromEntries([...keys, 'query_timeout', 'onConnect', 'host'].map((key) => [key, undefined]))
    expect(resolveOptions(absent)).toEqual(resolveOptions({}))
  })

  test('complete an object that names only one of several', () => {
    const { prePing, connectRetry } = resolveOptions({
      prePing: { idleMillis: 0, timeoutMillis: undefined },
      connectRetry: { retries: 2, factor: undefined },
    })
    expect(prePing).toEqual({ idleMillis: 0, timeoutMillis: 1000 })
    expect(connectRetry).toMatchObject({ retries: 2, factor: 2, minTimeout: 50 })
  })
})

describe('a short deadline', () => {
  test('shortens the ping timeout that nobody chose', () => {
    expect(resolveOptions({ connectionTimeoutMillis: 1000 }).prePing).toEqual({ idleMillis: 500, timeoutMillis: 500 })
  })
})

describe('what is no option at all', () => {
  test.each([null, 'postgres://localhost', 5])('%o is told as an option', (given) => {
    expect(problemsOf(given)).toEqual([expect.stringContaining('`options` must be an object')])
  })

  test.each([
    ['prePing', { idleMilis: 1 }, '`prePing.idleMilis` is not an option, did you mean `idleMillis`?'],
    ['connectRetry', { forever: true }, '`connectRetry.forever` is not an option, allowed are'],
  ])('within %s is refused', (group, value, problem) => {
    expect(problemsOf({ [group]: value })).toEqual([expect.stringContaining(problem)])
  })

  test('but named as something every object has goes to pg', () => {
    expect(problemsOf({ constructor: 1 })).toEqual([])
  })
})

describe('what pg means', () => {
  test('by poolSize is max', () => {
    expect(resolveOptions({ poolSize: 3 } as PoolOptions).max).toBe(3)
    expect(resolveOptions({ poolSize: 3, max: 4 } as PoolOptions).max).toBe(4)
  })

  test('by maxUses 0 is no limit', () => {
    expect(resolveOptions({ maxUses: 0 }).maxUses).toBe(Number.POSITIVE_INFINITY)
  })

  test.each([
    { given: { connectionTimeoutMillis: 0 }, resolved: { connectionTimeoutMillis: Number.POSITIVE_INFINITY } },
    { given: { idleTimeoutMillis: 0 }, resolved: { idleTimeoutMillis: Number.POSITIVE_INFINITY } },
    { given: { idleTimeoutMillis: null }, resolved: { idleTimeoutMillis: Number.POSITIVE_INFINITY } },
    { given: { maxLifetimeSeconds: 0 }, resolved: { maxLifetimeMillis: Number.POSITIVE_INFINITY } },
    { given: { maxLifetimeSeconds: 60 }, resolved: { maxLifetimeMillis: 60_000 } },
    { given: { query_timeout: 0 }, resolved: { queryTimeoutMillis: Number.POSITIVE_INFINITY } },
    { given: { query_timeout: 700 }, resolved: { queryTimeoutMillis: 700 } },
    { given: { maxUses: 7 }, resolved: { maxUses: 7 } },
  ])('by $given is meant here too', ({ given, resolved }) => {
    expect(resolveOptions(given)).toMatchObject(resolved)
  })
})

test.each([
  { prePing: true, resolved: { idleMillis: 500, timeoutMillis: 1000 } },
  { prePing: false, resolved: false },
  { prePing: {}, resolved: { idleMillis: 500, timeoutMillis: 1000 } },
])('prePing: $prePing means $resolved', ({ prePing, resolved }) => {
  expect(resolveOptions({ prePing }).prePing).toEqual(resolved)
})

test('connectRetry: false turns it off', () => {
  expect(resolveOptions({ connectRetry: false }).connectRetry).toBe(false)
})

test('resolved options are frozen, and the given ones untouched', () => {
  const given = Object.freeze({ max: 3, prePing: Object.freeze({ idleMillis: 1 }) })
  const resolved = resolveOptions(given)
  expect(Object.isFrozen(resolved) && Object.isFrozen(resolved.prePing) && Object.isFrozen(resolved.connectRetry)).toBe(
    true,
  )
  expect(given).toEqual({ max: 3, prePing: { idleMillis: 1 } })
})

describe("pg's own options are read as pg reads them", () => {
  test('numbers from the environment are texts', () => {
    const { max, idleTimeoutMillis } = resolveOptions({ max: '20', idleTimeoutMillis: ' 1000 ' } as never)
    expect({ max, idleTimeoutMillis }).toEqual({ max: 20, idleTimeoutMillis: 1000 })
  })

  test('null is as good as nothing', () => {
    const keys = ['max', 'min', 'maxUses', 'maxLifetimeSeconds', 'connectionTimeoutMillis', 'allowExitOnIdle', 'Client']
    const nothing = Object.fromEntries([...keys, 'query_timeout', 'onConnect'].map((key) => [key, null]))
    expect(resolveOptions(nothing)).toEqual(resolveOptions({}))
  })

  test.each([{ idleTimeoutMillis: Number.POSITIVE_INFINITY }, { idleTimeoutMillis: false }])('%o is never', (given) => {
    expect(resolveOptions(given as never).idleTimeoutMillis).toBe(Number.POSITIVE_INFINITY)
  })

  test.each([false, null, 0, '0'])('query_timeout: %o is none', (timeout) => {
    expect(resolveOptions({ query_timeout: timeout } as never).queryTimeoutMillis).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('an option that can not work is refused', () => {
  test.each([
    [{ max: 0 }, '`max` must be a whole number from 1 on, got 0.'],
    [{ max: 2.5 }, '`max` must be a whole number from 1 on, got 2.5.'],
    [{ max: Number.NaN }, '`max` must be a whole number from 1 on, got NaN.'],
    [{ max: 'many' }, "`max` must be a whole number from 1 on, got 'many'."],
    [{ max: '' }, "`max` must be a whole number from 1 on, got ''."],
    [{ min: -1 }, '`min` must be a whole number from 0 on, got -1.'],
    [{ min: 5, max: 3 }, '`min` must be at most `max` (3), got 5.'],
    [
      { connectionTimeoutMillis: -1, prePing: false },
      '`connectionTimeoutMillis` must be a number from 0 on, or Infinity, got -1.',
    ],
    [
      { connectionTimeoutMillis: '5 s', prePing: false },
      "`connectionTimeoutMillis` must be a number from 0 on, or Infinity, got '5 s'.",
    ],
    [{ idleTimeoutMillis: Number.NaN }, '`idleTimeoutMillis` must be a number from 0 on, or Infinity, got NaN.'],
    [{ maxLifetimeSeconds: -3 }, '`maxLifetimeSeconds` must be a number from 0 on, or Infinity, got -3.'],
    [{ maxLifetimeJitter: 1.5 }, '`maxLifetimeJitter` must be a share from 0 to 1, got 1.5.'],
    [{ maxUses: -1 }, '`maxUses` must be a whole number from 0 on, or Infinity, got -1.'],
    [{ closeTimeoutMillis: 'soon' }, "`closeTimeoutMillis` must be a number from 0 on, got 'soon'."],
    [{ query_timeout: -5 }, '`query_timeout` must be a number from 0 on, got -5.'],
    [{ invalidateOnDisconnect: 'some' }, "`invalidateOnDisconnect` must be one of 'all', 'one', got 'some'."],
    [
      { resetOnReturn: 'abort' },
      "`resetOnReturn` must be one of 'rollback', 'commit', 'session', 'discard', 'none', or a function, got 'abort'.",
    ],
    [{ prePing: 'yes' }, "`prePing` must be true, false, or { idleMillis, timeoutMillis }, got 'yes'."],
    [{ prePing: null }, '`prePing` must be true, false, or { idleMillis, timeoutMillis }, got null.'],
    [{ prePing: { idleMillis: -1 } }, '`prePing.idleMillis` must be a number from 0 on, got -1.'],
    [{ prePing: { timeoutMillis: 0 } }, '`prePing.timeoutMillis` must be a number from 1 on, got 0.'],
    [
      { prePing: { timeoutMillis: 5000 }, connectionTimeoutMillis: 5000 },
      '`prePing.timeoutMillis` must be shorter than `connectionTimeoutMillis` (5000), got 5000.',
    ],
    [{ lostCommit: 'guess' }, "`lostCommit` must be one of 'resolve', 'report', got 'guess'."],
    [{ commitTimeoutMillis: -1 }, '`commitTimeoutMillis` must be a number from 0 on, got -1.'],
    [{ connectRetry: 'often' }, "`connectRetry` must be true, false, or p-retry's options, got 'often'."],
    [
      { connectRetry: { retries: -1 } },
      '`connectRetry.retries` must be a whole number from 0 on, or Infinity, got -1.',
    ],
    [{ connectRetry: { factor: 0.5 } }, '`connectRetry.factor` must be a number from 1 on, got 0.5.'],
    [{ name: '' }, "`name` must be a name, got ''."],
    ['postgres://localhost/app', '`options` must be an object, such as { connectionString }, got a connection string.'],
  ])('%o', (options, problem) => {
    expect(problemsOf(options)).toEqual([problem])
  })

  test('together with every other one', () => {
    const attempt = () => resolveOptions({ max: 0, prePing: { idleMillis: -1 }, name: '', maxUse: 3 } as PoolOptions)
    expect(attempt).toThrow(OptionsError)
    expect(problemsOf({ max: 0, prePing: { idleMillis: -1 }, name: '', maxUse: 3 })).toHaveLength(4)
    expect(attempt).toThrow(/^Invalid options:(?:\n- `[^\n]+){4}$/)
  })

  test('with a code to branch on', () => {
    expect(() => resolveOptions({ max: 0 })).toThrow(expect.objectContaining({ code: 'HOLDFAST_INVALID_OPTION' }))
  })

  test('when the pool is constructed', () => {
    expect(() => new Pool({ max: 0 })).toThrow(OptionsError)
  })
})

describe('a key that resembles ours is refused', () => {
  test.each([
    ['prePng', 'prePing'],
    ['maxx', 'max'],
    ['leakDetectionThreshold', 'leakDetectionMillis'],
    ['preping', 'prePing'],
    ['Max', 'max'],
    ['maxUse', 'maxUses'],
    ['idleTimeoutMilis', 'idleTimeoutMillis'],
    ['idletimeoutmillis', 'idleTimeoutMillis'],
    ['connectionTimoutMillis', 'connectionTimeoutMillis'],
    ['maxLifetimeSecond', 'maxLifetimeSeconds'],
    ['resetOnRetrun', 'resetOnReturn'],
    ['onConect', 'onConnect'],
    ['queryTimeout', 'query_timeout'],
    ['pool_pre_ping', 'prePing'],
    ['pool_recycle', 'maxLifetimeSeconds'],
    ['pool_size', 'max'],
    ['pool_timeout', 'connectionTimeoutMillis'],
    ['pool_reset_on_return', 'resetOnReturn'],
    ['maximumPoolSize', 'max'],
    ['minimumIdle', 'min'],
  ])('%s: did you mean %s?', (key, meant) => {
    expect(problemsOf({ [key]: 1 })).toEqual([`\`${key}\` is not an option, did you mean \`${meant}\`?`])
  })
})

test('what pg itself takes, and what resembles nothing of ours, goes through', () => {
  const pgsOwn = {
    connectionString: 'postgres://localhost/app',
    user: 'u',
    host: 'h',
    port: 1,
    ssl: true,
    keepAliveInitialDelayMillis: 1,
    statement_timeout: 1,
    lock_timeout: 1,
    idle_in_transaction_session_timeout: 1,
    application_name: 'a',
    options: '-c x=y',
    pipeline: true,
    log: () => {},
    Client: pg.Client,
    verify: () => {},
    replication: 'database',
    somethingOfTheirOwn: 1,
  }
  expect(problemsOf(pgsOwn)).toEqual([])
})

test('pg-native is refused: it has no socket that could be watched', () => {
  class NativeClient {
    isConnected(): boolean {
      return false
    }
  }
  const attempt = () => new Pool({ Client: NativeClient as never })
  expect(attempt).toThrow(OptionsError)
  expect(attempt).toThrow(/pg-native/)
})
