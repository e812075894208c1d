import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import { Pool } from '../../../packages/core/src/pool.ts'

/** The problems that these options have. They can be anything, since JavaScript can pass anything. */
function problemsOf(options: unknown): readonly string[] {
  try {
    resolveOptions(options as PoolOptions)
  } catch (error) {
    if (error instanceof OptionsError) return error.problems
    throw error
  }
  return []
}

describe('the defaults', () => {
  test('an empty object gets the defaults', () => {
    expect(resolveOptions({})).toEqual({
      max: 10,
      min: 0,
      hosts: [],
      targetSessionAttrs: 'any',
      loadBalanceHosts: false,
      hostRecheckMillis: 10_000,
      hostPatienceMillis: 1000,
      connectionTimeoutMillis: 30_000,
      idleTimeoutMillis: 10_000,
      maxLifetimeMillis: Number.POSITIVE_INFINITY,
      maxLifetimeJitter: 0.1,
      maxUses: Number.POSITIVE_INFINITY,
      maxIdle: 10,
      maxWaiting: Number.POSITIVE_INFINITY,
      budget: undefined,
      shedding: false,
      lifo: true,
      keepaliveMillis: Number.POSITIVE_INFINITY,
      leakDetectionMillis: Number.POSITIVE_INFINITY,
      clientConnectionCheckMillis: 10_000,
      allowExitOnIdle: false,
      clientPerLease: true,
      retryReads: true,
      transactionalWrites: false,
      prePing: { idleMillis: 500, timeoutMillis: 1000 },
      pingTimeoutMillis: 1000,
      pooledPingTimeoutMillis: 5000,
      watch: { silentMillis: 500, timeoutMillis: 1000 },
      invalidateOnDisconnect: 'suspect',
      resetOnReturn: 'rollback',
      connectRetry: { retries: Number.POSITIVE_INFINITY, minTimeout: 50, maxTimeout: 1000, factor: 2, randomize: true },
      closeTimeoutMillis: 5000,
      lostCommit: 'resolve',
      commitTimeoutMillis: 30_000,
      queryTimeoutMillis: Number.POSITIVE_INFINITY,
      prepare: { threshold: 5, max: 100, needsProof: true },
      maxPipeline: 16,
      pipelineWrites: false,
      pooler: 'auto',
      name: 'holdfast',
      echo: false,
      logger: undefined,
    })
  })

  test('a key with the value undefined gets its default', () => {
    const keys = Object.keys(resolveOptions({})).filter(
      (key) => !['maxLifetimeMillis', 'queryTimeoutMillis'].includes(key),
    )
    const absent = Object.fromEntries([...keys, 'query_timeout', 'onConnect', 'host'].map((key) => [key, undefined]))
    expect(resolveOptions(absent)).toEqual(resolveOptions({}))
  })

  test('an object that has only some of its keys gets the defaults of the others', () => {
    const { prePing, connectRetry } = resolveOptions({
      prePing: { idleMillis: 0, timeoutMillis: undefined },
      connectRetry: { retries: 2, factor: undefined },
    })
    expect(prePing).toEqual({ idleMillis: 0, timeoutMillis: 1000 })
    expect(connectRetry).toMatchObject({ retries: 2, factor: 2, minTimeout: 50 })
  })
})

describe('a short connectionTimeoutMillis', () => {
  test('a short connectionTimeoutMillis shortens a ping timeout that was not given', () => {
    expect(resolveOptions({ connectionTimeoutMillis: 1000 }).prePing).toEqual({ idleMillis: 500, timeoutMillis: 500 })
  })
})

describe('a value that is not an object of options', () => {
  test.each([null, 'postgres://localhost', 5])('%o is refused in place of an object of options', (given) => {
    expect(problemsOf(given)).toEqual([expect.stringContaining('`options` must be an object')])
  })

  test.each([
    ['prePing', { idleMilis: 1 }, '`prePing.idleMilis` is not an option, did you mean `idleMillis`?'],
    ['connectRetry', { forever: true }, '`connectRetry.forever` is not an option, allowed are'],
  ])('an unknown key in %s is refused', (group, value, problem) => {
    expect(problemsOf({ [group]: value })).toEqual([expect.stringContaining(problem)])
  })

  test('a key that every object inherits is passed to pg', () => {
    expect(problemsOf({ constructor: 1 })).toEqual([])
  })
})

describe('options of pg keep their meaning', () => {
  test('poolSize means max', () => {
    expect(resolveOptions({ poolSize: 3 } as PoolOptions).max).toBe(3)
    expect(resolveOptions({ poolSize: 3, max: 4 } as PoolOptions).max).toBe(4)
  })

  test('a maxUses of 0 is no limit', () => {
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
  ])('the option of pg $given means $resolved', ({ given, resolved }) => {
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

test('a connectRetry of false means no retry', () => {
  expect(resolveOptions({ connectRetry: false }).connectRetry).toBe(false)
})

test('the resolved options are frozen, and the given ones are not changed', () => {
  const given = Object.freeze({ max: 3, prePing: Object.freeze({ idleMillis: 1 }) })
  const resolved = resolveOptions(given)
  expect(Object.isFrozen(resolved) && Object.isFrozen(resolved.prePing) && Object.isFrozen(resolved.connectRetry)).toBe(
    true,
  )
  expect(given).toEqual({ max: 3, prePing: { idleMillis: 1 } })
})

describe("pg's own options are read as pg reads them", () => {
  test('a number may be given as a text, as in an environment variable', () => {
    const { max, idleTimeoutMillis } = resolveOptions({ max: '20', idleTimeoutMillis: ' 1000 ' } as never)
    expect({ max, idleTimeoutMillis }).toEqual({ max: 20, idleTimeoutMillis: 1000 })
  })

  test('null counts as absent, as pg has it', () => {
    const keys = ['max', 'min', 'maxUses', 'maxLifetimeSeconds', 'connectionTimeoutMillis', 'allowExitOnIdle', 'Client']
    const absent = Object.fromEntries([...keys, 'query_timeout', 'onConnect'].map((key) => [key, null]))
    expect(resolveOptions(absent)).toEqual(resolveOptions({}))
  })

  test.each([{ idleTimeoutMillis: Number.POSITIVE_INFINITY }, { idleTimeoutMillis: false }])(
    'the option %o means never',
    (given) => {
      expect(resolveOptions(given as never).idleTimeoutMillis).toBe(Number.POSITIVE_INFINITY)
    },
  )

  test.each([false, null, 0, '0'])('a query_timeout of %o means no limit', (timeout) => {
    expect(resolveOptions({ query_timeout: timeout } as never).queryTimeoutMillis).toBe(Number.POSITIVE_INFINITY)
  })
})

test('a budget has one connection in reserve, unless it says otherwise', () => {
  const budget = { total: 20, name: 'shop' }
  expect(resolveOptions({ budget }).budget).toEqual({ ...budget, reserve: 1 })
  expect(resolveOptions({ budget: { ...budget, reserve: 0 } }).budget).toEqual({ ...budget, reserve: 0 })
})

describe('an option with a wrong value is refused', () => {
  test.each([
    [{ max: 0 }, '`max` must be a whole number from 1 on, got 0.'],
    [{ max: 2.5 }, '`max` must be a whole number from 1 on, got 2.5.'],
    [{ max: Number.NaN }, '`max` must be a whole number from 1 on, got NaN.'],
    [{ max: 'many' }, "`max` must be a whole number from 1 on, got 'many'."],
    [{ max: '' }, "`max` must be a whole number from 1 on, got ''."],
    [{ min: -1 }, '`min` must be a whole number from 0 on, got -1.'],
    [{ min: 5, max: 3 }, '`min` must be at most `max` (3), got 5.'],
    [{ budget: 20 }, '`budget` must be an object, such as { total: 50, name: "shop" }, got 20.'],
    [{ budget: { total: 20 } }, '`budget.name` must be a name, got undefined.'],
    [{ budget: { name: 'shop' } }, '`budget.total` must be a whole number from 3 on, got undefined.'],
    [{ budget: { name: 'shop', total: 2 } }, '`budget.total` must be a whole number from 3 on, got 2.'],
    [{ budget: { name: 'shop', total: 5, reserve: 4 } }, '`budget.total` must be a whole number from 6 on, got 5.'],
    [{ budget: { name: 'shop', total: 5, reserve: -1 } }, '`budget.reserve` must be a whole number from 0 on, got -1.'],
    [
      { budget: { name: 'shop', total: 5 }, connectionString: 'postgres://h1,h2/shop' },
      '`budget` needs a single host, since each server counts its own connections.',
    ],
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
    [
      { invalidateOnDisconnect: 'some' },
      "`invalidateOnDisconnect` must be one of 'all', 'suspect', 'one', got 'some'.",
    ],
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
  ])('a wrong value is refused with the reason: %o', (options, problem) => {
    expect(problemsOf(options)).toEqual([problem])
  })

  test('all wrong values are refused together', () => {
    const resolve = () => resolveOptions({ max: 0, prePing: { idleMillis: -1 }, name: '', maxUse: 3 } as PoolOptions)
    expect(resolve).toThrow(OptionsError)
    expect(problemsOf({ max: 0, prePing: { idleMillis: -1 }, name: '', maxUse: 3 })).toHaveLength(4)
    expect(resolve).toThrow(/^Invalid options:(?:\n- `[^\n]+){4}$/)
  })

  test('a wrong value is refused with the code HOLDFAST_INVALID_OPTION', () => {
    expect(() => resolveOptions({ max: 0 })).toThrow(expect.objectContaining({ code: 'HOLDFAST_INVALID_OPTION' }))
  })

  test('a wrong value is refused when a pool is constructed', () => {
    expect(() => new Pool({ max: 0 })).toThrow(OptionsError)
  })
})

describe('a key that resembles an option is refused, with a suggestion', () => {
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
    ['max_idle', 'maxIdle'],
    ['connection_timeout_millis', 'connectionTimeoutMillis'],
    ['closeTimoutMilis', 'closeTimeoutMillis'],
    ['queryTimeout', 'query_timeout'],
    ['pool_pre_ping', 'prePing'],
    ['pool_recycle', 'maxLifetimeSeconds'],
    ['pool_size', 'max'],
    ['pool_timeout', 'connectionTimeoutMillis'],
    ['pool_reset_on_return', 'resetOnReturn'],
    ['maximumPoolSize', 'max'],
    ['minimumIdle', 'min'],
  ])('the key %s is refused with the suggestion %s', (key, meant) => {
    expect(problemsOf({ [key]: 1 })).toEqual([`\`${key}\` is not an option, did you mean \`${meant}\`?`])
  })
})

test('options of pg, and keys that resemble no option, are passed to pg', () => {
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

test('a client without a socket, such as pg-native, is refused', () => {
  class NativeClient {
    isConnected(): boolean {
      return false
    }
  }
  const construct = () => new Pool({ Client: NativeClient as never })
  expect(construct).toThrow(OptionsError)
  expect(construct).toThrow(/pg-native/)
})

describe('replicas', () => {
  const hosts = [{ host: 'r1' }, { host: 'r2', port: 5433 }]

  test('are completed', () => {
    expect(resolveOptions({ max: 7, replicas: { hosts } }).replicas).toEqual({
      hosts: [
        { host: 'r1', port: 5432 },
        { host: 'r2', port: 5433 },
      ],
      max: 7,
      loadBalanceHosts: 'random',
      fallback: 'primary',
      maxLagBytes: Number.POSITIVE_INFINITY,
    })
  })

  test.each([
    [true, '`replicas` must be an object with hosts'],
    [{}, '`replicas.hosts` must be a list of { host, port }'],
    [{ hosts: [] }, '`replicas.hosts` must be a list of { host, port }'],
    [{ hosts: ['r1'] }, '`replicas.hosts` must be a list of { host, port }'],
    [{ hosts, max: 0 }, '`replicas.max` must be a whole number from 1 on, got 0.'],
    [{ hosts, fallback: 'standby' }, "`replicas.fallback` must be one of 'primary', 'wait', 'fail', got 'standby'."],
    [{ hosts, loadBalanceHosts: true }, "`replicas.loadBalanceHosts` must be one of false, 'random', 'round-robin'"],
    [{ hosts, maxLagBytes: -1 }, '`replicas.maxLagBytes` must be a number from 0 on, or Infinity, got -1.'],
    [{ hosts, maxLag: 1 }, '`replicas.maxLag` is not an option'],
    [{ hosts: [{ host: 'r1', port: 'x' }] }, '`replicas.hosts.port` must be a number from 1 to 65535'],
  ])('%o are refused by name', (replicas, problem) => {
    expect(problemsOf({ replicas })).toEqual([expect.stringContaining(problem)])
  })

  test('a pool hides their passwords, and its options make the same pool again', () => {
    const pool = new Pool({ replicas: { hosts: [{ host: 'r1', password: 'secret' }] } })
    expect(JSON.stringify(pool.options)).not.toContain('secret')
    expect(resolveOptions(pool.options as PoolOptions).replicas?.hosts[0]?.password).toBe('secret')
  })

  test.each([
    ['a URL', { connectionString: 'postgres://app:secret@h1:6000/shop' }, ['h1:6000']],
    ['a URL with several hosts', { connectionString: 'postgres://app@h1:6000,h2/shop' }, ['h1:6000', 'h2:5432']],
    ['key words', { connectionString: 'host=h1 port=6000 dbname=shop' }, ['h1:6000']],
    ['lists', { host: ['h1', 'h2'], port: [6000, 6001] }, ['h1:6000', 'h2:6001']],
    ['a host and a port', { host: 'h1', port: '6000' }, ['h1:6000']],
    ['a socket', { host: '/tmp', port: 6000 }, ['/tmp:6000']],
    [
      'what another pool shows',
      new Pool({ connectionString: 'postgres://app:secret@h1:6000/shop' }).options,
      ['h1:6000'],
    ],
  ])('fall back to the primary that is given by %s', (_way, options, primary) => {
    const { reader } = new Pool({ ...(options as PoolOptions), replicas: { hosts: [{ host: 'r1', port: 7000 }] } })
    expect(reader.status().hosts?.map(({ host, port }) => `${host}:${port}`)).toEqual(['r1:7000', ...primary])
  })
})
