import { CommitOutcomeUnknownError, OptionsError, Pool } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { freePort, until } from '../support/index.ts'
import { test } from './support/aimed-test.ts'
import { Application } from './support/application.ts'
import { holdfast, StockPool, warmUp } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const LONG = 600_000
/** Longer than `settles` waits. */
const PATIENT = { connectionTimeoutMillis: LONG, closeTimeoutMillis: 60_000 }
const timeIsUp = (millis: number) => `The pool was drained, and its time was up after ${millis} ms`

describe('drain() while there is work', () => {
  test('drain() serves new callers until no connection is in use and no caller waits, then resolves with true', async ({
    direct,
  }) => {
    const pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const waiting = pool.query('select 1 as it')
    const drained = pool.drain(LONG)
    const asked = pool.query('select 2 as it')
    await until(() => pool.waitingCount === 2)
    expect(await isPending(drained)).toBe(true)
    client.release()
    expect((await settles(Promise.all([waiting, asked]), 'both')).map(({ rows }) => rows)).toEqual([
      [{ it: 1 }],
      [{ it: 2 }],
    ])
    expect(await settles(drained, 'drain()')).toBe(true)
    expect(pool.ending).toBe(false)
    await settles(pool.end(), 'end()')
  })

  test('drain() lets a request that sends one statement after the other get all answers', async ({ direct }) => {
    const pool = holdfast({ ...direct, max: 1 })
    const request = async (): Promise<number> => {
      let sum = 0
      for (let n = 1; n <= 20; n++) sum += (await pool.query<{ n: number }>(`select ${n} as n`)).rows[0]?.n ?? 0
      return sum
    }
    const running = request()
    expect(await settles(pool.drain(LONG), 'drain()')).toBe(true)
    expect(await settles(running, 'the request')).toBe(210)
    await pool.end()
  })

  test('drain() of a pool that does nothing says true at once, and the pool goes on serving until end()', async ({
    direct,
  }) => {
    const pool = holdfast(direct)
    expect(await settles(pool.drain(LONG), 'drain()')).toBe(true)
    expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    await pool.end()
  })

  test('drain() with { close: false } only waits, and closes nothing, in time or too late', async ({ direct }) => {
    await using pool = holdfast({ ...direct, ...PATIENT, max: 1 })
    const client = await pool.connect()
    expect(await settles(pool.drain(50, { close: false }), 'drain() in vain')).toBe(false)
    const drained = pool.drain(LONG, { close: false })
    expect(await isPending(drained)).toBe(true)
    client.release()
    expect(await settles(drained, 'drain()')).toBe(true)
    expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    await expect(pool.drain(50, { close: 'no' } as never)).rejects.toThrow('`drain.close` must be one of true, false')
    await expect(pool.drain(50, { closes: false } as never)).rejects.toThrow('did you mean `close`?')
  })

  test('drain() does not wait for a waiter that gives up', async ({ direct }) => {
    const pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 400 })
    const client = await pool.connect()
    const late = rejection(pool.query('select 1'))
    const drained = pool.drain(LONG)
    expect(await late).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
    client.release()
    expect(await settles(drained, 'drain()')).toBe(true)
    await pool.end()
  })
})

describe('drain() whose time is up', () => {
  test('stock pg.Pool has only end(), which waits for a leased client for as long as it likes', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    const ended = unattended(pool.end())
    await client.query('select 1')
    expect(await isPending(ended)).toBe(true)
    client.release()
  })

  test('drain() whose time is up refuses the waiters, closes everything, and says false', async ({ direct }) => {
    const pool = holdfast({ ...direct, ...PATIENT, max: 1 })
    const running = rejection(pool.query("select pg_sleep('infinity')"))
    const waiting = [rejection(pool.query('select 1')), rejection(pool.connect())]
    await until(() => pool.waitingCount === 2)
    expect(await settles(pool.drain(50), 'drain()')).toBe(false)
    for (const error of await Promise.all(waiting))
      expect(error).toMatchObject({ name: 'PoolClosedError', code: 'HOLDFAST_POOL_CLOSED', message: timeIsUp(50) })
    expect(await running).toMatchObject({
      name: 'ConnectionLostError',
      phase: 'query',
      cause: { code: 'HOLDFAST_POOL_CLOSED', message: timeIsUp(50) },
    })
    expect([pool.totalCount, pool.waitingCount, pool.ending, pool.ended]).toEqual([0, 0, true, true])
    expect(pool.status().isClosed).toBe(true)
    expect(await rejection(pool.query('select 1'))).toMatchObject({ name: 'PoolClosedError', message: timeIsUp(50) })
  })

  test('drain() whose time is up tells the server to stop what still runs', async ({ cluster, direct }) => {
    const sessions =
      "select count(*)::int as count from pg_stat_activity where application_name = $1 and state = 'active'"
    const active = async (): Promise<number> => {
      const { rows } = await cluster.withAdmin((admin) => admin.query(sessions, [direct.application_name]))
      return rows[0].count
    }
    const pool = holdfast({ ...direct, ...PATIENT, max: 1, clientConnectionCheckMillis: 0 })
    const running = rejection(pool.query("select pg_sleep('infinity')"))
    await until(async () => (await active()) === 1)
    expect(await settles(pool.drain(50), 'drain()')).toBe(false)
    await running
    await until(async () => (await active()) === 0, { what: 'the server to stop the statement' })
  })

  test('end() after drain() is no mistake, and a second end() is one, as ever', async ({ direct }) => {
    const pool = holdfast({ ...direct, ...PATIENT })
    await pool.connect()
    expect(await settles(pool.drain(20), 'drain()')).toBe(false)
    await settles(pool.end(), 'end()')
    await expect(pool.end()).rejects.toThrow('Called end on pool more than once')
    expect(await settles(pool.drain(LONG), 'drain() again')).toBe(false)
  })

  test('drain() bounds an end() that was begun before, however patient that is', async ({ direct }) => {
    const pool = holdfast({ ...direct, ...PATIENT })
    await pool.connect() // Never released.
    const drained = pool.drain(100)
    await settles(pool.end(), 'end()')
    expect(await settles(drained, 'drain()')).toBe(false)
  })

  test('drain() that is called during end() bounds that, too', async ({ direct }) => {
    const pool = holdfast({ ...direct, ...PATIENT })
    await pool.connect()
    const ended = pool.end()
    expect(await settles(pool.drain(50), 'drain()')).toBe(false)
    await settles(ended, 'end()')
  })

  test('drain() has nothing to do after end()', async ({ direct }) => {
    const pool = holdfast(direct)
    await pool.query('select 1')
    await pool.end()
    expect(await settles(pool.drain(50), 'drain()')).toBe(true)
  })

  test('of several calls of drain() the one with the earliest deadline counts', async ({ direct }) => {
    const pool = holdfast({ ...direct, ...PATIENT })
    await pool.connect()
    const patient = pool.drain(LONG)
    expect(await settles(pool.drain(50), 'the second')).toBe(false)
    expect(await settles(patient, 'the first')).toBe(false)
    await pool.end()
  })

  test('drain() whose time is up ends idle sessions politely, and serves earlier ones', async ({ cluster, direct }) => {
    const pool = holdfast({ ...direct, ...PATIENT, max: 3 })
    await warmUp(pool, 3)
    expect(await settles(pool.drain(0), 'drain()')).toBe(true)
    await until(() => pool.ended, { what: 'the pool to close by itself' })
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
  })

  test.for([-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5 s', undefined, 5n])(
    'drain() of %s milliseconds is refused',
    async (millis, { direct }) => {
      await using pool = holdfast(direct)
      const error = await rejection(pool.drain(millis as number))
      expect(error).toBeInstanceOf(OptionsError)
      expect(error.message).toMatch(/`drain\(millis\)` must be a number from 0 to 2147483647, got /)
      expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    },
  )
})

describe('drain() during an outage', () => {
  test.for(['refuses', 'is silent'] as const)(
    'during drain() a caller that waits for a server that %s is refused, and the process ends',
    async (how, { proxy, proxied }) => {
      await using application = await Application.start('holdfast', { ...proxied, ...PATIENT })
      if (how === 'refuses') proxy.refuse()
      else proxy.swallow({ connections: 'new' })
      const waiting = rejection(application.query('select 1'))
      await until(async () => (await application.counts()).waiting === 1)
      expect(await application.drain(100)).toBe(false)
      expect(await waiting).toMatchObject({ name: 'PoolClosedError', message: timeIsUp(100) })
      application.leave()
      expect(await application.ends()).toEqual({ code: 0, stderr: expect.any(String) })
    },
  )

  test('connections in a black hole do not keep drain(), nor their sockets the process', async ({ proxy, proxied }) => {
    await using application = await Application.start('holdfast', { ...proxied, ...PATIENT })
    await application.connect('idle')
    await application.connect('busy')
    const running = rejection(application.clientQuery("select pg_sleep('infinity')", 'busy'))
    await application.query('select 1') // Idle, and in the dark.
    proxy.swallow()
    expect(await application.drain(100)).toBe(false)
    expect(await running).toMatchObject({ name: 'ConnectionLostError' })
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test('a lost COMMIT is not asked about beyond the end of drain()', async ({ aimed, aimedAt }) => {
    const pool = new Pool({ ...aimedAt, ...PATIENT })
    const shot = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    const nowhere = await freePort()
    const work = rejection(
      pool.transaction(async (tx) => {
        await tx.query('insert into entry values ($1)', ['drained'])
        aimed.retarget({ host: '127.0.0.1', port: nowhere })
      }),
    )
    await shot.fired
    await pool.drain(50)
    expect(await settles(work, 'the transaction')).toBeInstanceOf(CommitOutcomeUnknownError)
    await settles(pool.end(), 'end()')
  })
})
