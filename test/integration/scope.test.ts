import { OptionsError, PoolTimeoutError, withPoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

describe('withPoolOptions()', () => {
  test('withPoolOptions() returns what its function returns, and throws what it throws', async () => {
    expect(withPoolOptions({}, () => 42)).toBe(42)
    expect(await withPoolOptions({}, async () => 42)).toBe(42)
    expect(() =>
      withPoolOptions({}, () => {
        throw new RangeError('of the work')
      }),
    ).toThrow(RangeError)
  })

  test('withPoolOptions() awaits what begins only then, as query builders do, within itself', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, prePing: { timeoutMillis: 300 } })
    await using _holder = await pool.connect()
    // biome-ignore lint/suspicious/noThenProperty: that is what makes it a query builder.
    const builder = { then: (...ends: Parameters<Promise<unknown>['then']>) => pool.query('select 1').then(...ends) }
    const error = await rejection(
      withPoolOptions({ connectionTimeoutMillis: 50 }, () => builder as PromiseLike<unknown>),
    )
    expect(error).toBeInstanceOf(PoolTimeoutError)
  })

  test('withPoolOptions() refuses an unknown option before the work begins', () => {
    let hasBegun = false
    const work = (): void => {
      hasBegun = true
    }
    for (const options of [
      { signal: 1 },
      { timeout: 1 },
      { connectionTimeoutMillis: -1 },
      { resetOnReturn: 'all' },
      null,
    ])
      expect(() => withPoolOptions(options as object, work)).toThrow(OptionsError)
    expect(hasBegun).toBe(false)
  })

  test("withPoolOptions() sets a deadline for every connection, instead of the pool's", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 0, prePing: { timeoutMillis: 300 } })
    const holder = await pool.connect()
    const inScope = withPoolOptions({ connectionTimeoutMillis: 50 }, async () => {
      await new Promise((resolve) => setImmediate(resolve))
      return [await rejection(pool.query('select 1')), await rejection(pool.connect())]
    })
    for (const error of await inScope) expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(pool.waitingCount).toBe(0)
    holder.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('withPoolOptions() with a deadline of 0 waits without a limit, where the pool has one', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 100, prePing: { timeoutMillis: 50 } })
    const holder = await pool.connect({ connectionTimeoutMillis: 5000 })
    const patient = withPoolOptions({ connectionTimeoutMillis: 0 }, () => pool.query('select 1 as it'))
    await rejection(pool.query('select 2'))
    expect(pool.waitingCount).toBe(1)
    holder.release()
    expect((await settles(patient, 'the patient one')).rows).toEqual([{ it: 1 }])
  })

  test('withPoolOptions() within another inherits what it does not set', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const holder = await pool.connect()
    const controller = new AbortController()
    const waiting = withPoolOptions({ signal: controller.signal }, () =>
      withPoolOptions({ connectionTimeoutMillis: 0 }, () => pool.query('select 1')),
    )
    controller.abort(new RangeError('enough'))
    expect(await rejection(waiting)).toBeInstanceOf(RangeError)
    holder.release()
  })

  test('what is passed to connect() is stronger than the scope, and the rest still holds', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const [outer, inner] = [new AbortController(), new AbortController()]
    await withPoolOptions({ signal: outer.signal, resetOnReturn: 'discard' }, async () => {
      const client = await pool.connect({ signal: inner.signal })
      await client.query("set lock_timeout = '1h'")
      client.release()
      expect((await pool.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '0' }])
      const holder = await pool.connect()
      const waiting = pool.connect({ signal: inner.signal })
      outer.abort()
      expect(pool.waitingCount).toBe(1)
      inner.abort(new RangeError('enough'))
      expect(await rejection(waiting)).toBeInstanceOf(RangeError)
      holder.release()
    })
  })

  test('a scope ends with its work: what comes after it is free of it', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    await withPoolOptions({ signal: controller.signal }, () => pool.query('select 1'))
    controller.abort()
    expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
  })

  test('the scope of another waiter does not reach the caller that it is served by', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const release = await withPoolOptions({ signal: controller.signal }, async () => {
      const client = await pool.connect()
      return () => client.release()
    })
    const mine = pool.query('select 1 as it from pg_sleep(0.2)')
    withPoolOptions({ signal: controller.signal }, release)
    await until(() => pool.status().leased === 1 && pool.waitingCount === 0)
    controller.abort()
    expect((await settles(mine, 'my statement')).rows).toEqual([{ it: 1 }])
  })

  test('a scope lets work that was given up roll back', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    await withPoolOptions({ signal: controller.signal }, async () => {
      const client = await pool.connect()
      await client.query("begin; insert into entry values ('given up in a scope')")
      controller.abort(new RangeError('enough'))
      expect(await rejection(client.query('select 1'))).toBeInstanceOf(RangeError)
      expect(await rejection(client.query('commit'))).toBeInstanceOf(RangeError)
      expect((await client.query('rollback')).command).toBe('ROLLBACK')
      client.release()
    })
    expect(await cluster.query("select from entry where id = 'given up in a scope'")).toEqual([])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
