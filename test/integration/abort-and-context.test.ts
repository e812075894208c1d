import { AsyncLocalStorage } from 'node:async_hooks'
import { NullPool, Pool, withPoolOptions } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'
import { type Cluster, until } from '../support/index.ts'

async function isRunning(cluster: Cluster, query: string): Promise<boolean> {
  const sql = "select count(*)::int as count from pg_stat_activity where state = 'active' and query = $1"
  const [row] = (await cluster.withAdmin((admin) => admin.query<{ count: number }>(sql, [query]))).rows
  return (row?.count ?? 0) > 0
}

describe('a statement that is given up while others stand before and behind it', () => {
  test('a statement that is given up among others is the one that is not run, and no other', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    using client = await pool.connect()
    await client.query('create temporary table seen (line text)')
    const controller = new AbortController()
    const statements = [
      client.query('select pg_sleep(0.2)'),
      client.query("insert into seen values ('first')"),
      client.query({ text: "insert into seen values ('given up')", signal: controller.signal } as pg.QueryConfig),
      client.query("insert into seen values ('last')"),
    ]
    const givenUp = rejection(statements[2] as Promise<unknown>)
    controller.abort()
    expect(await givenUp).toBe(controller.signal.reason)
    await Promise.all([statements[0], statements[1], statements[3]])
    expect((await client.query('select line from seen')).rows).toEqual([{ line: 'first' }, { line: 'last' }])
  })

  test('a statement that is given up behind a failed one is not run, whatever the reason', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    using client = await pool.connect()
    await client.query('create temporary table seen (line text)')
    const controller = new AbortController()
    const signal = controller.signal
    const failing = client.query('select 1/0').catch(() => controller.abort('a text'))
    const givenUp = rejection(client.query({ text: "insert into seen values ('given up')", signal } as pg.QueryConfig))
    const last = client.query("insert into seen values ('last')")
    expect(await givenUp).toBe('a text')
    await Promise.all([failing, last])
    expect((await client.query('select line from seen')).rows).toEqual([{ line: 'last' }])
  })

  test.for(['a text', 7, Symbol('why')])(
    'a statement that is given up rejects with the reason that was given: %o',
    async (reason, { direct }) => {
      await using pool = new Pool({ ...direct, max: 1 })
      const controller = new AbortController()
      const running = rejection(pool.query({ text: 'select pg_sleep(30)', signal: controller.signal }))
      const waiting = rejection(pool.query({ text: 'select 1', signal: controller.signal }))
      setImmediate(() => controller.abort(reason))
      expect(await running).toBe(reason)
      expect(await waiting).toBe(reason)
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    },
  )

  test('a statement that is given up leaves the reason as it was, even a frozen one', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    using _holder = await pool.connect()
    const reason = Object.freeze(new Error('enough'))
    const { stack } = reason
    const controller = new AbortController()
    const waiting = rejection(pool.connect({ signal: controller.signal }))
    controller.abort(reason)
    expect(await waiting).toBe(reason)
    expect(reason.stack).toBe(stack)
  })

  test('a statement is given up even if the sockets for the cancel request can not be made', async ({ direct }) => {
    const sockets: unknown[] = []
    const stream = (): never => {
      if (sockets.push('one') > 1) throw new Error('no more sockets')
      return new pg.Connection({} as object).stream as never
    }
    await using pool = new Pool({ ...direct, max: 1, stream } as object)
    using client = await pool.connect()
    const controller = new AbortController()
    const running = rejection(
      client.query({ text: 'select pg_sleep(0.3)', signal: controller.signal } as pg.QueryConfig),
    )
    controller.abort()
    expect(await running).toBe(controller.signal.reason)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('a signal', () => {
  test('the signal of a statement that could not be sent cancels nothing of the next lease', async ({ direct }) => {
    class Strict extends pg.Client {}
    const { query } = pg.Client.prototype as unknown as { query(...args: unknown[]): unknown }
    Object.assign(Strict.prototype, {
      query(this: pg.Client, ...args: unknown[]): unknown {
        if ((args[0] as pg.QueryConfig).text === 'refused') throw new TypeError('refused')
        return query.apply(this, args)
      },
    })
    await using pool = new Pool({ ...direct, max: 1, Client: Strict as never })
    const controller = new AbortController()
    const { signal } = controller
    expect(await rejection(pool.query({ text: 'refused', signal }))).toBeInstanceOf(TypeError)
    const next = pool.query('select pg_sleep(0.2)')
    setTimeout(() => controller.abort(), 50)
    await next
  })

  test('the signal of a transaction cancels what runs in it', async ({ cluster, direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const controller = new AbortController()
    const work = pool.transaction((tx) => tx.query('select pg_sleep(60)'), { signal: controller.signal })
    const failed = rejection(work)
    await until(() => isRunning(cluster, 'select pg_sleep(60)'), { what: 'the statement to run' })
    controller.abort()
    expect(await failed).toBe(controller.signal.reason)
    expect(await isRunning(cluster, 'select pg_sleep(60)')).toBe(false)
  })

  test('a scope without a signal keeps that of the scope around it', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const controller = new AbortController()
    controller.abort()
    const query = withPoolOptions({ signal: controller.signal }, () =>
      withPoolOptions({ signal: undefined }, () => pool.query('select 1')),
    )
    expect(await rejection(query)).toBe(controller.signal.reason)
  })
})

test.for(['-- name: done\ncommit', '/* by somebody */ END', 'COMMIT;-- done'])(
  'a COMMIT in whatever words is an error if it was answered with ROLLBACK: %j',
  async (commit, { direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    using client = await pool.connect()
    await client.query('begin')
    await client.query('select 1/0').catch(() => {})
    expect(await rejection(client.query(commit))).toMatchObject({ code: '40000', cause: { code: '22012' } })
  },
)

test('a transaction runs on a pool whose connect accepts only a callback', async ({ direct }) => {
  class Traced extends Pool {}
  const { connect } = Pool.prototype as unknown as { connect(...args: unknown[]): unknown }
  Object.assign(Traced.prototype, {
    connect(this: Pool, callback?: (...args: unknown[]) => void): unknown {
      return callback ? connect.call(this, (...args: unknown[]) => callback(...args)) : connect.call(this)
    },
  })
  await using pool = new Traced({ ...direct, max: 1 })
  expect(await pool.transaction(async (tx) => (await tx.query('select 1 as one')).rows)).toEqual([{ one: 1 }])
})

describe('the scope of one caller', () => {
  test('the scope of a caller is not that of the connection which was opened for the caller', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const controller = new AbortController()
    await withPoolOptions({ signal: controller.signal }, () => pool.query('select 1'))
    controller.abort()
    const answer = await new Promise<unknown>((resolve, reject) => {
      pool.query('select 1', (error: Error) => {
        if (error) reject(error)
        else
          pool.query('select 2 as two', (next: Error, result: pg.QueryResult) =>
            next ? reject(next) : resolve(result.rows),
          )
      })
    })
    expect(answer).toEqual([{ two: 2 }])
  })

  test('the scope of a caller holds in the callbacks of the caller', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    using client = await pool.connect()
    const controller = new AbortController()
    const failed = new Promise<Error>((resolve) => {
      withPoolOptions({ signal: controller.signal }, () => {
        client.query('select 1', () => {
          controller.abort()
          client.query('select 2', (error: Error) => resolve(error))
        })
      })
    })
    expect(await failed).toBe(controller.signal.reason)
  })

  test('connect(callback) keeps the scope and every other async context, however long it waits', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const requests = new AsyncLocalStorage<string>()
    const holder = await pool.connect()
    const seen = new Promise<string | undefined>((resolve) => {
      requests.run('mine', () =>
        pool.connect((_error, _client, release) => {
          release()
          resolve(requests.getStore())
        }),
      )
    })
    requests.run('of another', () => holder.release())
    expect(await seen).toBe('mine')
  })
})

describe('what a caller gets', () => {
  test('a caller gets one answer, though the driver calls back twice for a bad value', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const circular: Record<string, unknown> = {}
    circular.self = circular
    let calls = 0
    let releases = 0
    pool.on('release', () => releases++)
    await new Promise<void>((resolve) => {
      pool.query('select $1::json', [circular], () => {
        calls++
        resolve()
      })
    })
    await pool.query('select 1')
    expect({ calls, releases }).toEqual({ calls: 1, releases: 2 })
  })

  test('a caller is told a wrong option, also by an overridden connect(callback)', async ({ direct }) => {
    class Tenants extends Pool {
      override connect(...args: never[]): never {
        return super.connect(...args) as never
      }
    }
    await using pool = new Tenants({ ...direct, max: 1 })
    const query = pool.query({ text: 'select 1', signal: 'not a signal' } as never)
    expect(await rejection(query as Promise<unknown>)).toMatchObject({ code: 'HOLDFAST_INVALID_OPTION' })
  })

  test('what a caller is told contains no values of what was given', () => {
    const circular: Record<string, unknown> = { password: 'secret' }
    circular.self = circular
    expect(() => new Pool({ connectRetry: 1n as never, prePing: circular as never, name: circular as never })).toThrow(
      expect.objectContaining({ code: 'HOLDFAST_INVALID_OPTION', message: expect.not.stringContaining('secret') }),
    )
  })
})

test("a NullPool can be made of the options of another pool, whose password isn't enumerable", async ({ direct }) => {
  const other = new pg.Pool(direct)
  await using pool = new NullPool(other.options as object)
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await other.end()
})
