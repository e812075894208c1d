import { inspect } from 'node:util'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, warmUp } from '../faults/support/pools.ts'
import { until } from '../support/index.ts'

const NOBODY = { leased: 0, idle: 0, opening: 0, checking: 0, resetting: 0 }

describe('status()', () => {
  test('status() counts every connection in exactly one state', async ({ proxied, proxy }) => {
    await using pool = holdfast({ ...proxied, name: 'orders', max: 3, maxIdle: 2, prePing: { idleMillis: 0 } })
    expect(pool.status()).toEqual({
      name: 'orders',
      pid: process.pid,
      max: 3,
      maxIdle: 2,
      size: 0,
      ...NOBODY,
      waiting: 0,
      listening: 0,
      isClosed: false,
      pooler: 'unknown',
    })
    const client = await pool.connect()
    expect(pool.status()).toMatchObject({ ...NOBODY, size: 1, leased: 1 })
    client.release()
    expect(pool.status()).toMatchObject({ ...NOBODY, size: 1, idle: 1 })

    for (const link of proxy.links) link.delay(Number.POSITIVE_INFINITY)
    const proven = pool.connect()
    expect(pool.status()).toMatchObject({ ...NOBODY, size: 1, checking: 1, waiting: 1 })
    for (const link of proxy.links) link.heal()
    const again = await proven

    await again.query('begin')
    for (const link of proxy.links) link.delay(Number.POSITIVE_INFINITY)
    again.release()
    expect(pool.status()).toMatchObject({ ...NOBODY, size: 1, resetting: 1, waiting: 0 })
    for (const link of proxy.links) link.heal()
    await until(() => pool.status().idle === 1)

    const first = await pool.connect()
    const second = pool.connect()
    expect(pool.status()).toMatchObject({ ...NOBODY, size: 2, leased: 1, opening: 1, waiting: 1 })
    first.release()
    ;(await second).release()
    await pool.end()
    expect(pool.status()).toMatchObject({ ...NOBODY, size: 0, isClosed: true })
  })

  test('status() counts the waiters', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const waiting = [pool.query('select 1'), pool.query('select 2')]
    expect(pool.status().waiting).toBe(2)
    client.release()
    await Promise.all(waiting)
    expect(pool.status().waiting).toBe(0)
  })

  test('status() reads like SQLAlchemy as text, and like an object in a console and as JSON', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 15, maxIdle: 5 })
    await warmUp(pool, 7)
    const client = await pool.connect()
    const status = pool.status()
    expect(`${status}`).toBe(
      'Pool size: 5  Connections in pool: 4 Current Overflow: 0 Current Checked out connections: 1',
    )
    expect(inspect(status)).toMatch(/^PoolStatus \{\n {2}name: 'holdfast',/)
    expect(JSON.parse(JSON.stringify(status))).toEqual({ ...status })
    client.release()
  })
})

describe('inspect()', () => {
  test('inspect() says how long each connection has been in its state', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    expect(pool.inspect()).toEqual([])
    await warmUp(pool, 2)
    const client = await pool.connect()
    const [leased, idle] = ['leased', 'idle'].map((state) => pool.inspect().find((each) => each.state === state))
    expect(leased).toMatchObject({ idleMillis: undefined, uses: 2, holder: undefined, isSuspect: false })
    expect(idle).toMatchObject({ heldMillis: undefined, uses: 1, holder: undefined })
    for (const each of [leased, idle]) {
      expect(each?.ageMillis).toBeGreaterThan(0)
      expect(each?.heldMillis ?? each?.idleMillis).toBeLessThan(each?.ageMillis as number)
    }
    client.release()
  })

  test('inspect() says who has leased a connection, if leak detection is on', async ({ direct }) => {
    await using pool = holdfast({ ...direct, leakDetectionMillis: 60_000 })
    async function keepsIt() {
      return await pool.connect()
    }
    const client = await keepsIt()
    expect(pool.inspect()[0]?.holder).toMatch(/keepsIt.*status\.test/)
    client.release()
    expect(pool.inspect()[0]?.holder).toBeUndefined()
  })
})
