import { physicalClient } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'
import { calledWith, told } from './support/observing.ts'

/** https://node-postgres.com/apis/pool and https://node-postgres.com/features/pooling */
describe.each(LIBRARIES)('$library: pool', ({ open }) => {
  test('a pool is created empty', async ({ cluster, direct }) => {
    await using pool = open(direct)
    expect([pool.totalCount, pool.idleCount, pool.waitingCount, pool.expiredCount]).toEqual([0, 0, 0, 0])
    expect([pool.ending, pool.ended]).toEqual([false, false])
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(0)
  })

  test('a pool leaves the object that it was made of alone', async ({ direct }) => {
    const config = Object.freeze({ ...direct, max: 3 })
    await using pool = open(config)
    await pool.query('select 1')
    expect(pool.options).not.toBe(config)
  })

  test('a pool has room again at once after release(true)', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    expect([pool.totalCount, pool.idleCount]).toEqual([1, 0])
    client.release(true)
    expect([pool.totalCount, pool.idleCount]).toEqual([0, 0])
  })

  test('a pool counts the waiters, and serves them first come, first served', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    const order: string[] = []
    const waiters = ['first', 'second'].map(async (name) => {
      const own = await pool.connect()
      order.push(name)
      own.release()
    })
    expect(pool.waitingCount).toBe(2)
    client.release()
    await settles(Promise.all(waiters), 'those who wait')
    expect([order, pool.waitingCount]).toEqual([['first', 'second'], 0])
  })

  test('a pool leases an idle client rather than open another one', async ({ direct }) => {
    await using pool = open(direct)
    for (let time = 1; time <= 5; time++) await pool.query('select 1')
    expect(pool.totalCount).toBe(1)
  })

  test('a pool rejects a caller that waits too long for a leased client', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1, connectionTimeoutMillis: 200 })
    const client = await pool.connect()
    const error = await rejection(pool.connect())
    expect(error.message).toMatch(/^timeout exceeded when trying to connect/)
    expect((await rejection(pool.query('select 1'))).message).toMatch(/^timeout exceeded when trying to connect/)
    expect(pool.waitingCount).toBe(0)
    client.release()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('a pool closes what lay idle for idleTimeoutMillis, and says so', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, idleTimeoutMillis: 100 })
    const client = await pool.connect()
    const removed = told(pool, 'remove')
    client.release()
    expect((await removed)[0]).toBe(physicalClient(client))
    expect(pool.totalCount).toBe(0)
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
  })

  test('a pool closes a client after maxUses', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1, maxUses: 2 })
    const used = [await pool.connect()]
    for (let time = 2; time <= 4; time++) {
      used.at(-1)?.release()
      used.push(await settles(pool.connect(), 'the next client'))
    }
    used.at(-1)?.release()
    const [first, second, third, fourth] = used.map(physicalClient)
    expect(second).toBe(first)
    expect(third).not.toBe(second)
    expect(fourth).toBe(third)
  })

  test('a pool counts an expired client that is still leased, and closes it on release', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1, maxLifetimeSeconds: 0.2 })
    const client = await pool.connect()
    await until(() => pool.expiredCount === 1)
    expect(await client.query('select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
    const removed = told(pool, 'remove')
    client.release()
    expect([pool.totalCount, pool.expiredCount]).toEqual([0, 0])
    expect((await removed)[0]).toBe(physicalClient(client))
  })

  test('a pool closes an idle client that expires', async ({ direct }) => {
    await using pool = open({ ...direct, maxLifetimeSeconds: 0.2, idleTimeoutMillis: 0 })
    await pool.query('select 1')
    await until(() => pool.totalCount === 0)
  })

  test('a pool takes poolSize for max', async ({ direct }) => {
    await using pool = open({ ...direct, poolSize: 1 } as object)
    const client = await pool.connect()
    const waiter = pool.connect()
    expect([pool.options.max, pool.totalCount, pool.waitingCount]).toEqual([1, 1, 1])
    client.release()
    ;(await settles(waiter, 'the waiter')).release()
  })

  test('a pool shows the options in force', async ({ direct }) => {
    await using pool = open({ ...direct, idleTimeoutMillis: 1234, maxUses: 5, allowExitOnIdle: true })
    expect(pool.options).toMatchObject({
      ...direct,
      max: 10,
      min: 0,
      maxUses: 5,
      allowExitOnIdle: true,
      maxLifetimeSeconds: 0,
      idleTimeoutMillis: 1234,
    })
    await using plain = open(direct)
    expect(plain.options).toMatchObject({ maxUses: Number.POSITIVE_INFINITY, idleTimeoutMillis: 10_000 })
    expect(Object.keys(pool.options)).not.toContain('password')
    expect(pool.options).toHaveProperty('password', direct.password)
  })

  test('a pool shows the class of its clients', async ({ direct }) => {
    await using pool = open(direct)
    const { Client } = pool as unknown as { Client: new (config: unknown) => { end(): Promise<void> } }
    const client = new Client(pool.options)
    await client.end()
  })

  test('a pool takes every key with the value undefined for absent', async ({ direct }) => {
    const absent = `max min idleTimeoutMillis connectionTimeoutMillis maxUses maxLifetimeSeconds allowExitOnIdle onConnect
      verify log Client Promise types statement_timeout query_timeout lock_timeout application_name options
      idle_in_transaction_session_timeout keepAlive keepAliveInitialDelayMillis connectionString stream pipeline
      client_encoding fallback_application_name enableChannelBinding sslnegotiation binary replication poolSize`
    const keys = absent.split(/\s+/).map((key) => [key, undefined])
    await using pool = open({ ...Object.fromEntries(keys), ...direct })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.options).toMatchObject({ max: 10, min: 0, idleTimeoutMillis: 10_000 })
  })

  test('a pool logs what it does', async ({ direct }) => {
    const told: unknown[][] = []
    await using pool = open({ ...direct, log: (...all: unknown[]) => told.push(all) } as object)
    await pool.query('select 1')
    expect(told.length).toBeGreaterThan(0)
    for (const [message] of told) expect(message).toBeTypeOf('string')
  })
})

describe.each(LIBRARIES)('$library: pool.query', ({ open }) => {
  test('pool.query takes a query object, and resolves with its result', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const { Query } = await import('pg')
    const result = await settles(pool.query(new Query('select 1 as one')) as unknown as Promise<object>, 'the query')
    expect(result).toMatchObject({ command: 'SELECT', rows: [{ one: 1 }] })
    const failure = pool.query(new Query('select nonsense')) as unknown as Promise<object>
    expect(await rejection(failure)).toMatchObject({ code: '42703' })
    expect([pool.totalCount, pool.waitingCount]).toEqual([expect.any(Number), 0])
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test('pool.query runs on a client that is free again when it resolves', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await pool.query('select 1')
    expect(pool.idleCount).toBe(1)
    expect(pool.idleCount).toBe(await calledWith((done) => pool.query('select 1', done)).then(() => pool.idleCount))
  })
})

describe.each(LIBRARIES)('$library: pool.end', ({ open }) => {
  test('pool.end waits for the leased clients, and lets them finish', async ({ direct }) => {
    const pool = open(direct)
    const client = await pool.connect()
    const order: string[] = []
    const ended = pool.end().then(() => order.push('drained'))
    expect([pool.ending, pool.ended]).toEqual([true, false])
    order.push((await client.query("select 'answered' as it")).rows[0].it)
    client.release()
    await settles(ended, 'end()')
    expect(order).toEqual(['answered', 'drained'])
    expect([pool.ended, pool.totalCount]).toEqual([true, 0])
  })

  test('pool.end refuses later callers', async ({ direct }) => {
    const pool = open(direct)
    await pool.end()
    const refused = { message: 'Cannot use a pool after calling end on the pool' }
    expect(await rejection(pool.connect())).toMatchObject(refused)
    expect(await rejection(pool.query('select 1'))).toMatchObject(refused)
    expect((await calledWith((done) => pool.connect(done)))[0]).toMatchObject(refused)
    expect((await calledWith((done) => pool.query('select 1', done)))[0]).toMatchObject(refused)
  })

  test('pool.end can be called once', async ({ direct }) => {
    const pool = open(direct)
    await pool.end()
    const twice = { message: 'Called end on pool more than once' }
    expect(await rejection(pool.end())).toMatchObject(twice)
    expect((await calledWith((done) => pool.end(done)))[0]).toMatchObject(twice)
  })

  test('pool.end removes every client, idle or leased', async ({ direct }) => {
    const pool = open(direct)
    const removed: unknown[] = []
    pool.on('remove', (client) => removed.push(client))
    const clients = [await pool.connect(), await pool.connect()]
    clients[0]?.release()
    const ended = pool.end()
    clients[1]?.release()
    await settles(ended, 'end()')
    await until(() => removed.length === 2)
    expect(new Set(removed)).toEqual(new Set(clients.map(physicalClient)))
  })
})

describe.each(LIBRARIES)('$library: events of the pool', ({ open }) => {
  test('the events of a pool come in one order, each with its client', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const order: unknown[][] = []
    for (const event of ['connect', 'acquire', 'release', 'remove', 'error'])
      pool.on(event as 'connect', (...all) => order.push([event, ...all]))
    const lent = await pool.connect()
    const client = physicalClient(lent)
    lent.release()
    const again = await pool.connect()
    again.release()
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(() => order.some(([event]) => event === 'remove'))
    await until(() => order.some(([event]) => event === 'error'))
    expect(order.slice(0, 5)).toEqual([
      ['connect', client],
      ['acquire', client],
      ['release', undefined, client],
      ['acquire', client],
      ['release', undefined, client],
    ])
    expect(order.slice(5).map(([event]) => event)).toEqual(['error', 'remove'])
    expect(order.find(([event]) => event === 'error')?.slice(1)).toEqual([expect.any(Error), client])
  })

  test('the events of a pool report no client that could not be opened', async ({ direct }) => {
    await using pool = open({ ...direct, database: 'nowhere' })
    const events: string[] = []
    for (const event of ['connect', 'acquire', 'release', 'remove', 'error'])
      pool.on(event as 'connect', () => events.push(event))
    expect(await rejection(pool.connect())).toMatchObject({ code: '3D000' })
    expect(await rejection(pool.query('select 1'))).toMatchObject({ code: '3D000' })
    expect([events, pool.totalCount]).toEqual([[], 0])
  })

  test('the events of a pool have the error of `release` as it was given', async ({ direct }) => {
    await using pool = open(direct)
    const given: unknown[] = []
    pool.on('release', (error) => given.push(error))
    const spoilt = new Error('spoilt')
    for (const discard of [undefined, true, spoilt, false]) (await pool.connect()).release(discard)
    expect(given).toEqual([undefined, true, spoilt, false])
  })

  test('a listener of `connect` may use the client', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    pool.on('connect', (client) => void client.query("set search_path = 'of_the_listener'"))
    expect((await pool.query('show search_path')).rows).toEqual([{ search_path: 'of_the_listener' }])
  })
})
