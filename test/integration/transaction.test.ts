import { ConnectionLostError, type Transaction, type TransactionOptions, withPoolOptions } from '@holdfast/core'
import type { QueryResult } from 'pg'
import { describe, expect, expectTypeOf } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { backendPid, countEvents, holdfast } from '../faults/support/pools.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import { type Cluster, until } from '../support/index.ts'

class NotEnoughMoney extends Error {}

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

async function insert(tx: Transaction, id: string): Promise<void> {
  await tx.query('insert into entry values ($1)', [id])
}

async function setting(tx: Transaction, name: string): Promise<unknown> {
  const { rows } = await tx.query<{ setting: string }>('select current_setting($1) as setting', [name])
  return rows[0]?.setting
}

/** Until the server works on a statement that contains these words. */
async function isRunning(cluster: Cluster, applicationName: string, words: string): Promise<void> {
  await until(async () => {
    const sessions = await cluster.sessions({ applicationName })
    return sessions.some(({ state, query }) => state === 'active' && query.includes(words))
  })
}

const GATE = 42

/** A table whose rows make COMMIT wait for the gate. */
const GATED = `
  create temporary table gated (id int);
  create function pg_temp.pass() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock_shared(${GATE}); return null; end';
  create constraint trigger pass after insert on gated deferrable initially deferred
    for each row execute function pg_temp.pass()`

describe('a transaction', () => {
  test('a transaction is committed when its function resolves, with its result', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const result = await pool.transaction(async (tx) => {
      await insert(tx, 'resolved')
      expect(await isWritten(cluster, 'resolved')).toBe(false)
      return { written: 'resolved' as const }
    })
    expectTypeOf(result).toEqualTypeOf<{ written: 'resolved' }>()
    expect(result).toEqual({ written: 'resolved' })
    expect(await isWritten(cluster, 'resolved')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a transaction takes a function that is not async', async ({ direct }) => {
    await using pool = holdfast(direct)
    const result = await pool.transaction(() => 7)
    expectTypeOf(result).toEqualTypeOf<number>()
    expect(result).toBe(7)
  })

  test.for([
    ['rejects', (): Promise<never> => Promise.reject(new NotEnoughMoney())],
    [
      'throws',
      (): never => {
        throw new NotEnoughMoney()
      },
    ],
  ] as const)(
    'a transaction is rolled back when its function %s, with its very error',
    async ([how, fail], { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const pid = await backendPid(pool)
      const error = await rejection(
        pool.transaction(async (tx) => {
          await insert(tx, how)
          return fail()
        }),
      )
      expect(error).toBeInstanceOf(NotEnoughMoney)
      expect(await isWritten(cluster, how)).toBe(false)
      expect(await backendPid(pool)).toBe(pid)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test("a transaction is rolled back even where the pool's policy is to commit", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'commit' })
    const transaction = pool.transaction(async (tx) => {
      await insert(tx, 'not by policy')
      throw new NotEnoughMoney()
    })
    expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
    expect(await isWritten(cluster, 'not by policy')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("a transaction rejects with its statement's error, and keeps its connection", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const pid = await backendPid(pool)
    const error = await rejection(pool.transaction((tx) => tx.query('select 1 / 0')))
    expect(error).toMatchObject({ name: 'error', code: '22012' })
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a transaction whose COMMIT is refused rejects with the reason', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query('create temporary table once (id int unique deferrable initially deferred)')
    const error = await rejection(pool.transaction((tx) => tx.query('insert into once values (1), (1)')))
    expect(error).toMatchObject({ name: 'error', code: '23505' })
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a transaction leases one connection, and releases it once', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const acquired = countEvents(pool, 'acquire')
    const released = countEvents(pool, 'release')
    await pool.transaction(() => {})
    await rejection(pool.transaction(() => Promise.reject(new NotEnoughMoney())))
    await rejection(pool.transaction(async (tx) => await tx.query('nonsense')))
    expect([acquired(), released()]).toEqual([3, 3])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a transaction knows the number of the attempt', async ({ direct }) => {
    await using pool = holdfast(direct)
    expect(await pool.transaction(({ attempt }) => attempt)).toBe(1)
  })

  test('a transaction takes every form of query', async ({ direct }) => {
    await using pool = holdfast(direct)
    await pool.transaction(async ({ query }) => {
      expect((await query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect((await query('select $1::int as one', [1])).rows).toEqual([{ one: 1 }])
      expect((await query({ text: 'select $1::int', values: [1], rowMode: 'array' })).rows).toEqual([[1]])
      const called = new Promise<QueryResult>((resolve, reject) => {
        query('select $1::int as one', [1], (error, result) => (error ? reject(error) : resolve(result)))
      })
      expect((await called).rows).toEqual([{ one: 1 }])
    })
  })

  test('a transaction shows where its statement was called', async ({ direct }) => {
    await using pool = holdfast(direct)
    const { stack } = await rejection(pool.transaction(async (tx) => await tx.query('nonsense')))
    expect(stack).toContain('transaction.test.ts')
  })
})

describe('the options', () => {
  const LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const

  test.for(LEVELS)('isolationLevel: %s is in force in the transaction', async (isolationLevel, { direct }) => {
    await using pool = holdfast(direct)
    const level = (tx: Transaction): Promise<unknown> => setting(tx, 'transaction_isolation')
    expect(await pool.transaction(level, { isolationLevel })).toBe(isolationLevel)
    const inCapitals = isolationLevel.toUpperCase() as typeof isolationLevel
    expect(await pool.transaction(level, { isolationLevel: inCapitals })).toBe(isolationLevel)
  })

  test("a transaction without options has the session's own in force", async ({ direct }) => {
    await using pool = holdfast({ ...direct, options: '-c default_transaction_isolation=serializable' })
    expect(await pool.transaction((tx) => setting(tx, 'transaction_isolation'))).toBe('serializable')
  })

  test("accessMode: 'read only' has the server refuse a write; the next transaction may", async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const error = await rejection(pool.transaction((tx) => insert(tx, 'read only'), { accessMode: 'read only' }))
    expect(error).toMatchObject({ code: '25006' })
    await pool.transaction((tx) => insert(tx, 'read write'), { accessMode: 'read write' })
    expect([await isWritten(cluster, 'read only'), await isWritten(cluster, 'read write')]).toEqual([false, true])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('all options of a transaction are in force at once', async ({ direct }) => {
    await using pool = holdfast(direct)
    const options: TransactionOptions = { isolationLevel: 'serializable', accessMode: 'read only', deferrable: true }
    const settings = await pool.transaction(async (tx) => {
      return [
        await setting(tx, 'transaction_isolation'),
        await setting(tx, 'transaction_read_only'),
        await setting(tx, 'transaction_deferrable'),
      ]
    }, options)
    expect(settings).toEqual(['serializable', 'on', 'on'])
  })

  test('options of a transaction that can not work are refused before anything is leased', async ({ direct }) => {
    await using pool = holdfast(direct)
    const error = await rejection(pool.transaction(() => {}, { isolationLevel: 'snapshot' as never }))
    expect(error).toMatchObject({ name: 'OptionsError', code: 'HOLDFAST_INVALID_OPTION' })
    expect(pool.totalCount).toBe(0)
  })

  test('a transaction needs a function', async ({ direct }) => {
    await using pool = holdfast(direct)
    const error = await rejection(pool.transaction({} as never))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain('`fn` must be a function')
    expect(pool.totalCount).toBe(0)
  })
})

describe('a signal', () => {
  test('a signal aborted before the transaction: nothing is leased, nothing is sent', async ({ direct }) => {
    await using pool = holdfast(direct)
    const reason = new Error('too late')
    let isCalled = false
    const transaction = pool.transaction(
      () => {
        isCalled = true
      },
      { signal: AbortSignal.abort(reason) },
    )
    expect(await rejection(transaction)).toBe(reason)
    expect([isCalled, pool.totalCount]).toEqual([false, 0])
  })

  test('a signal rolls a transaction back, although its function resolved', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const reason = new Error('the user has left')
    const transaction = pool.transaction(
      async (tx) => {
        await insert(tx, 'aborted')
        controller.abort(reason)
      },
      { signal: controller.signal },
    )
    expect(await rejection(transaction)).toBe(reason)
    expect(await isWritten(cluster, 'aborted')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('the signal of a scope', () => {
  test("a scope's signal cancels the running statement, and rolls back", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const reason = new Error('the request is over')
    const transaction = withPoolOptions({ signal: controller.signal }, () =>
      pool.transaction(async (tx) => {
        await insert(tx, 'aborted by its scope')
        await tx.query("select pg_sleep('infinity')")
      }),
    )
    const error = rejection(transaction)
    await isRunning(cluster, direct.application_name, 'pg_sleep')
    controller.abort(reason)
    expect(await error).toBe(reason)
    expect(await isWritten(cluster, 'aborted by its scope')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("a scope's signal rolls back while the function does something else", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const transaction = withPoolOptions({ signal: controller.signal }, () =>
      pool.transaction(async (tx) => {
        await insert(tx, 'aborted between two statements')
        controller.abort()
      }),
    )
    expect(await rejection(transaction)).toBe(controller.signal.reason)
    expect(await isWritten(cluster, 'aborted between two statements')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("a scope's signal aborted while COMMIT runs comes too late: what is written is reported as written", async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query(GATED)
    await using keeper = holdfast({ ...cluster.config(), max: 1 })
    await keeper.query('select pg_advisory_lock($1)', [GATE])
    const controller = new AbortController()
    const transaction = withPoolOptions({ signal: controller.signal }, () =>
      pool.transaction(async (tx) => {
        await insert(tx, 'committed')
        await tx.query('insert into gated values (1)')
        return 'committed'
      }),
    )
    await isRunning(cluster, direct.application_name, 'COMMIT')
    controller.abort()
    await keeper.query('select pg_advisory_unlock($1)', [GATE])
    expect(await settles(transaction, 'the transaction')).toBe('committed')
    expect(await isWritten(cluster, 'committed')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a connection killed', () => {
  test("a connection killed within the function: the function's own error survives", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const error = await rejection(
      pool.transaction(async (tx) => {
        await cluster.terminateBackends({ applicationName: direct.application_name })
        await rejection(tx.query('select pg_sleep(10)'))
        throw new NotEnoughMoney()
      }),
    )
    expect(error).toBeInstanceOf(NotEnoughMoney)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a kill in a transaction whose function swallows it rejects all the same', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const error = await rejection(
      pool.transaction(async (tx) => {
        await insert(tx, 'killed')
        await cluster.terminateBackends({ applicationName: direct.application_name })
        await rejection(tx.query('select pg_sleep(10)'))
      }),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ code: '57P01', phase: 'transaction', commitOutcome: 'aborted' })
    expect(await isWritten(cluster, 'killed')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a connection killed at BEGIN: that runs again, and the function is called once', async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 1, prePing: false })
    const pid = await backendPid(pool)
    // Frozen, so that BEGIN is under way when the session ends.
    await cluster.freezeBackend(pid)
    let count = 0
    const once = { retry: false }
    const work = pool.transaction(() => {
      count++
    }, once)
    await cluster.terminateBackends({ pid })
    await cluster.thawBackend(pid)
    await settles(work, 'the transaction')
    expect(count).toBe(1)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a connection in a black hole: ROLLBACK is waited for only so long', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const error = await rejection(
      pool.transaction(async (tx) => {
        await insert(tx, 'in the dark')
        proxy.swallow()
        throw new NotEnoughMoney()
      }),
    )
    expect(error).toBeInstanceOf(NotEnoughMoney)
    await proxy.heal()
    proxy.cut('rst')
    await until(async () => (await cluster.countSessions({ applicationName: proxied.application_name })) === 0)
    expect(await isWritten(cluster, 'in the dark')).toBe(false)
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

describe('statements that the function did not wait for', () => {
  test('statements that the function did not wait for are committed with the rest', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction((tx) => {
      void tx.query('select pg_sleep(0.05)')
      void insert(tx, 'unawaited')
    })
    expect(await isWritten(cluster, 'unawaited')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('statements that were not awaited are rolled back with the rest', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const pid = await backendPid(pool)
    const outcomes: Promise<unknown>[] = []
    const error = await rejection(
      pool.transaction(async (tx) => {
        outcomes.push(tx.query('select pg_sleep(0.05)'))
        for (const id of ['left 1', 'left 2', 'left 3']) outcomes.push(insert(tx, id))
        throw new NotEnoughMoney()
      }),
    )
    expect(error).toBeInstanceOf(NotEnoughMoney)
    // All had run: ROLLBACK waited for them.
    await settles(Promise.all(outcomes), 'what was left running')
    for (const id of ['left 1', 'left 2', 'left 3']) expect(await isWritten(cluster, id)).toBe(false)
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a failed statement that was not awaited rolls all back, and says so', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const error = await rejection(
      pool.transaction(async (tx) => {
        await insert(tx, 'before the failure')
        void unattended(tx.query('select 1 / 0'))
        void unattended(insert(tx, 'after the failure'))
      }),
    )
    expect(error).toMatchObject({ name: 'TransactionRolledBackError', code: '40000', cause: { code: '22012' } })
    for (const id of ['before the failure', 'after the failure']) expect(await isWritten(cluster, id)).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('statements that were not awaited are stopped if they outlast the patience', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, closeTimeoutMillis: 100 })
    let running: Promise<unknown> = Promise.resolve()
    const error = await rejection(
      pool.transaction(async (tx) => {
        running = rejection(tx.query("select pg_sleep('infinity')"))
        throw new NotEnoughMoney()
      }),
    )
    expect(error).toBeInstanceOf(NotEnoughMoney)
    expect(await running).toMatchObject({ name: 'ConnectionLostError', commitOutcome: 'aborted' })
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
