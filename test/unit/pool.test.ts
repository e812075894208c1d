import { Duplex } from 'node:stream'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { physicalClient } from '../../packages/core/src/connection/leased-client-factory.ts'
import type { PoolOptions } from '../../packages/core/src/options/pool-options.ts'
import { Pool } from '../../packages/core/src/pool.ts'
import { FakeServer, serverError, systemError } from '../support/fake-client.ts'
import { FakeClock } from '../support/fake-clock.ts'

let clock: FakeClock
let server: FakeServer

beforeEach(() => {
  clock = new FakeClock()
  server = new FakeServer()
})
afterEach(() => clock[Symbol.dispose]())

/** A pool on the fake server. */
function makePool(options: PoolOptions = {}): Pool {
  return new Pool({ Client: server.Client, watch: false, ...options })
}

/** Waits for a promise that needs no time, only rounds of the event loop. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  await clock.advance(0)
  return promise
}

describe('the pool', () => {
  test('a Pool is a pg.Pool, by instanceof and by name', () => {
    const pool = makePool()
    expect(pool).toBeInstanceOf(pg.Pool)
    expect(pool.constructor.name).toBe('Pool')
  })

  test('a pool shows the options in force where pg shows them', () => {
    expect(makePool({ max: 3, min: 1 }).options).toMatchObject({
      max: 3,
      min: 1,
      maxUses: Number.POSITIVE_INFINITY,
      allowExitOnIdle: false,
    })
  })

  test('a pool counts its connections and waiters as pg counts', async () => {
    const pool = makePool({ max: 2 })
    const counts = () => [pool.totalCount, pool.idleCount, pool.waitingCount]
    expect(counts()).toEqual([0, 0, 0])
    const first = await soon(pool.connect())
    const second = await soon(pool.connect())
    void pool.connect().then((third) => third.release())
    expect(counts()).toEqual([2, 0, 1])
    first.release()
    second.release()
    await clock.advance(0)
    expect(counts()).toEqual([2, 2, 0])
  })

  test.each([
    { given: {}, expected: [true, 10_000] },
    { given: { keepAliveInitialDelayMillis: 0 }, expected: [true, 0] },
    { given: { keepAliveInitialDelayMillis: undefined }, expected: [true, 10_000] },
    { given: { keepAlive: false }, expected: undefined },
  ])('a pool with $given sets the keepalive of its sockets to $expected', async ({ given, expected }) => {
    const wire = Object.assign(new Duplex({ read() {}, write() {} }), {
      connect: () => queueMicrotask(() => wire.emit('connect')),
      setNoDelay: () => wire,
      setKeepAlive: vi.fn(),
    })
    const pool = new Pool({ stream: () => wire, connectRetry: false, ...given })
    void pool.query('select 1').catch(() => {})
    await clock.advance(0)
    expect(wire.setKeepAlive.mock.calls[0]).toEqual(expected)
    wire.destroy()
  })

  test('a pool opens nothing before it is asked for something', async () => {
    makePool()
    await clock.advance(60_000)
    expect(server.backends).toHaveLength(0)
  })
})

describe('query', () => {
  test('query runs one statement and releases the connection', async () => {
    const pool = makePool()
    await expect(soon(pool.query('select 1'))).resolves.toMatchObject({ command: 'select', rows: [] })
    expect(pool.idleCount).toBe(1)
  })

  test('query sends the statement in the same tick when a connection is idle', async () => {
    const pool = makePool()
    await soon(pool.query('select 1'))
    void pool.query('select 2')
    expect(server.received).toEqual(['select 1', 'select 2'])
  })

  test('query keeps the connection after a plain SQL error', async () => {
    const pool = makePool()
    await soon(pool.query('select 1'))
    server.backend().failures.set('insert', serverError('23505', 'duplicate key'))
    await expect(soon(pool.query('insert'))).rejects.toMatchObject({ code: '23505' })
    await soon(pool.query('select 2'))
    expect(server.backends).toHaveLength(1)
    expect(pool.idleCount).toBe(1)
  })

  test('query rejects with a typed error when the connection dies while the statement runs', async () => {
    const pool = makePool()
    await soon(pool.query('select 1'))
    server.backend().silent = true
    const query = pool.query('update t')
    server.backend().terminate()
    await expect(soon(query)).rejects.toMatchObject({
      name: 'ConnectionLostError',
      code: '57P01',
      phase: 'query',
      commitOutcome: 'unknown',
      sent: true,
    })
    expect(pool.totalCount).toBe(0)
  })

  test('query takes callbacks, with and without values', async () => {
    const pool = makePool()
    const told: unknown[] = []
    expect(pool.query('select 1', (error, result) => told.push([error, result.command]))).toBeUndefined()
    pool.query('select $1', [1], (error, result) => told.push([error, result.command]))
    await clock.advance(0)
    expect(told).toEqual([
      [undefined, 'select'],
      [undefined, 'select'],
    ])
  })

  test.each([
    { statement: null, values: undefined },
    { statement: undefined, values: undefined },
    { statement: { text: undefined }, values: undefined },
    { statement: 'select $1', values: 5 },
  ])('query loses no slot when the driver refuses $statement with $values', async ({ statement, values }) => {
    const pool = makePool({ max: 1 })
    await expect(soon(pool.query(statement as never, values as never))).rejects.toThrow()
    expect(pool.idleCount).toBe(1)
    await expect(soon(pool.query('select 1'))).resolves.toBeDefined()
  })

  test('query_timeout also ends a pg.Query object', async () => {
    const pool = makePool({ query_timeout: 1000 })
    const client = await soon(pool.connect())
    server.backend().silent = true
    const told: unknown[] = []
    client.query(new pg.Query('select pg_sleep(100)', (error) => told.push(error)))
    await clock.advance(1001)
    expect(told).toMatchObject([{ name: 'ConnectionLostError', cause: { message: 'Query read timeout' } }])
    expect(pool.totalCount).toBe(0)
  })

  test('a callback of query that throws does not keep the other callers from being told', async () => {
    const pool = makePool()
    server.welcome = serverError('28P01', 'password authentication failed', 'FATAL')
    const thrown: unknown[] = []
    const catchIt = (error: unknown): unknown => thrown.push(error)
    process.once('uncaughtException', catchIt)
    const uncaught = process.listeners('uncaughtException').filter((listener) => listener !== catchIt)
    for (const listener of uncaught) process.off('uncaughtException', listener)
    try {
      pool.query('select 1', () => {
        throw new Error("the application's own")
      })
      await expect(soon(pool.query('select 2'))).rejects.toMatchObject({ code: '28P01' })
    } finally {
      process.off('uncaughtException', catchIt)
      for (const listener of uncaught) process.on('uncaughtException', listener)
    }
    expect(thrown).toMatchObject([{ message: "the application's own" }])
  })
})

describe('connect', () => {
  test('connect calls back with error, client and release, after it has returned', async () => {
    const pool = makePool()
    await soon(pool.query('select 1'))
    const told: unknown[][] = []
    pool.connect((...args) => told.push(args))
    expect(told).toEqual([])
    await clock.advance(0)
    const [error, client, release] = told[0] as [unknown, pg.PoolClient, () => void]
    expect(error).toBeUndefined()
    expect(client).toBeInstanceOf(pg.Client)
    release()
    expect(pool.idleCount).toBe(1)
  })

  test('connect calls back with the error and a release that does nothing', async () => {
    const pool = makePool()
    server.welcome = serverError('28P01', 'password authentication failed', 'FATAL')
    const told: unknown[][] = []
    pool.connect((...args) => told.push(args))
    await clock.advance(0)
    const [error, client, release] = told[0] as [unknown, unknown, () => void]
    expect(error).toMatchObject({ name: 'ConnectError', code: '28P01' })
    expect(client).toBeUndefined()
    expect(release).not.toThrow()
  })

  test('connect leases a client that has its password, and does not show it', async () => {
    const pool = makePool({ password: 'geheim' })
    const client = await soon(pool.connect())
    expect(client.password).toBe('geheim')
    expect(Object.keys(pool.options)).not.toContain('password')
    expect(Object.keys(client)).not.toContain('password')
  })
})

describe('release(discard)', () => {
  test.each([true, new Error('odd')])('release(%o) closes the connection', async (discard) => {
    const pool = makePool()
    const client = await soon(pool.connect())
    client.release(discard)
    await clock.advance(0)
    expect(pool.totalCount).toBe(0)
    expect(server.backend().isOpen).toBe(false)
  })
})

describe('end', () => {
  test('end closes the pool, and sets the same properties as pg', async () => {
    const pool = makePool()
    await soon(pool.query('select 1'))
    const ended = pool.end()
    expect([pool.ending, pool.ended]).toEqual([true, false])
    await soon(ended)
    expect([pool.ending, pool.ended]).toEqual([true, true])
    expect(server.backend().isOpen).toBe(false)
  })

  test('end refuses later calls of the pool', async () => {
    const pool = makePool()
    await soon(pool.end())
    await expect(pool.connect()).rejects.toMatchObject({
      code: 'HOLDFAST_POOL_CLOSED',
      message: 'Cannot use a pool after calling end on the pool',
    })
    await expect(soon(pool.query('select 1'))).rejects.toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
  })

  test('end rejects when it is called a second time', async () => {
    const pool = makePool()
    await soon(pool.end())
    await expect(pool.end()).rejects.toThrow('Called end on pool more than once')
    const told = await new Promise((resolve) => pool.end(resolve))
    expect(told).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
  })

  test('end accepts a callback', async () => {
    const pool = makePool()
    const told = vi.fn()
    pool.end(told)
    await clock.advance(0)
    expect(told).toHaveBeenCalledExactlyOnceWith()
  })

  test('end runs once when an `await using` ends the pool', async () => {
    let pool: Pool
    {
      await using scoped = makePool()
      pool = scoped
      await soon(scoped.query('select 1'))
      void scoped.end()
      await clock.advance(0)
    }
    expect(pool.ended).toBe(true)
  })
})

describe('events', () => {
  test('the events are those of pg: connect, acquire, release, remove', async () => {
    const pool = makePool()
    const told: string[] = []
    for (const event of ['connect', 'acquire', 'release', 'remove'] as const) pool.on(event, () => told.push(event))
    const client = await soon(pool.connect())
    client.release(true)
    await clock.advance(0)
    expect(told).toEqual(['connect', 'acquire', 'release', 'remove'])
  })

  test('the events pass the client, and `release` the error as well', async () => {
    const pool = makePool()
    const told: unknown[][] = []
    for (const event of ['connect', 'acquire', 'release', 'remove'] as const)
      pool.on(event, (...args: unknown[]) => told.push(args))
    const client = await soon(pool.connect())
    const mistake = new Error('odd')
    client.release(mistake)
    await clock.advance(0)
    expect(told.map((args) => args.at(-1) === physicalClient(client))).toEqual([true, true, true, true])
    expect(told[2]?.[0]).toBe(mistake)
  })

  test('the error event reports an idle connection that died', async () => {
    const pool = makePool()
    await soon(pool.query('select 1'))
    const heard = vi.fn()
    pool.on('error', heard)
    server.backend().terminate()
    expect(heard).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ name: 'ConnectionLostError', code: '57P01', phase: 'idle' }),
      expect.any(pg.Client),
    )
  })

  test('an error event without a listener does not crash the process', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const pool = makePool()
    const client = await soon(pool.connect())
    await soon(pool.query('select 1'))
    server.backend(2).fail(systemError('ECONNRESET'))
    server.backend(1).fail(systemError('ECONNRESET'))
    await clock.advance(0)
    client.release()
    expect(pool.totalCount).toBe(0)
    expect(warn).not.toHaveBeenCalled()
  })

  test.each(['connect', 'acquire', 'release', 'remove', 'error'] as const)(
    "a listener that throws on '%s' costs a warning, and no slot",
    async (event) => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      const pool = makePool({ max: 1, name: 'orders' })
      pool.on(event, () => {
        throw new Error('the listener is broken')
      })
      const client = await soon(pool.connect())
      client.release(event === 'remove')
      await clock.advance(0)
      if (event === 'error') server.backend().terminate()
      await clock.advance(0)

      await expect(soon(pool.query('select 1'))).resolves.toBeDefined()
      expect(pool.totalCount).toBe(1)
      expect(pool.idleCount).toBe(1)
      expect(warn).toHaveBeenCalledWith(expect.stringContaining("'orders'"), {
        type: 'HoldfastWarning',
        code: 'HOLDFAST_LISTENER_THREW',
      })
      expect(warn.mock.calls[0]?.[0]).toContain('the listener is broken')
    },
  )

  test('a listener can send the first statement, without awaiting it', async () => {
    const pool = makePool()
    pool.on('connect', (client) => {
      client.query('set time zone utc').catch(() => {})
    })
    await soon(pool.query('select 1'))
    expect(server.received).toEqual(['set time zone utc', 'select 1'])
  })

  test('a listener can send the first statements, one after the other', async () => {
    const pool = makePool()
    const listen = async (client: pg.PoolClient): Promise<void> => {
      await client.query('set time zone utc')
      await client.query('set search_path to app')
    }
    pool.on('connect', (client) => void listen(client))
    await soon(pool.query('select 1'))
    expect(server.received).toEqual(['set time zone utc', 'set search_path to app', 'select 1'])
  })

  test('a transaction that a listener has begun is ended before the lease', async () => {
    const pool = makePool()
    pool.on('connect', (client) => {
      client.query('begin').catch(() => {})
    })
    await soon(pool.query('select 1'))
    expect(server.received).toEqual(['begin', 'ROLLBACK', 'select 1'])
  })
})

test('a transaction that a hook leaves open is ended before the lease', async () => {
  const pool = new Pool({
    Client: server.Client,
    watch: false,
    onConnect: async (client) => {
      await client.query('begin')
    },
  })
  await soon(pool.query('select 1'))
  expect(server.received).toEqual(['begin', 'ROLLBACK', 'select 1'])
})

describe('what other packages rely on in pg.Pool', () => {
  test('a subclass that overrides connect gets every statement', async () => {
    class TenantPool extends Pool {
      override connect(callback?: unknown): never {
        server.received.push('set role')
        return super.connect(callback as never) as never
      }
    }
    const pool = new TenantPool({ Client: server.Client })
    await soon(pool.query('select 1'))
    expect(pool.idleCount).toBe(1)
    expect(server.received).toContain('select 1')
  })

  test('a subclass that overrides connect loses no slot to a query that the driver refuses', async () => {
    class TenantPool extends Pool {
      override connect(callback?: unknown): never {
        return super.connect(callback as never) as never
      }
    }
    const pool = new TenantPool({ Client: server.Client, max: 1 })
    await expect(soon(pool.query(null as never))).rejects.toThrow('null or undefined query')
    expect(pool.idleCount).toBe(1)
  })

  test('a changed password is used for the next connection', async () => {
    const pool = makePool({ password: 'old' })
    pool.options.password = 'new'
    const client = await soon(pool.connect())
    expect(client.password).toBe('new')
  })

  test('the options of another pool keep their password', async () => {
    const pool = new Pool(makePool({ password: 'secret' }).options)
    expect((await soon(pool.connect())).password).toBe('secret')
  })

  test('log is called with the type of an event and the number of its connection', async () => {
    const log = vi.fn()
    await soon(makePool({ log }).query('select 1'))
    expect(log).toHaveBeenCalledWith('connection-opened', 1)
  })
})

test('a callback that is not a function is refused at once', async () => {
  const pool = makePool()
  const client = await soon(pool.connect())
  expect(() => client.query('select 1', [], {} as never)).toThrow(TypeError)
  expect(client.release()).toBeUndefined()
  expect(pool.idleCount).toBe(1)
})

test('a statement that is queued when a callback releases is waited for', async () => {
  const pool = makePool({ max: 1 })
  const client = await soon(pool.connect())
  client.query('select 1', () => client.release())
  client.query('begin', () => {})
  await soon(pool.query('insert into t values (1)'))
  expect(server.received).toEqual(['select 1', 'begin', 'ROLLBACK', 'insert into t values (1)'])
})

test('what an earlier statement of the lease has written is not reported as aborted', async () => {
  const pool = makePool()
  const client = await soon(pool.connect())
  await soon(client.query('insert into t values (1)'))
  server.backend().terminate()
  await expect(soon(client.query('insert into t values (2)'))).rejects.toMatchObject({
    phase: 'idle',
    sent: false,
    commitOutcome: 'unknown',
  })
})

test("the pool's own COMMIT without an answer is not reported as aborted", async () => {
  const pool = makePool({ resetOnReturn: 'commit' })
  const client = await soon(pool.connect())
  await soon(client.query('begin'))
  server.backend().silent = true
  client.release()
  await clock.advance(0)
  server.backend().disappear()
  await clock.advance(0)
  await expect(soon(client.query('select 1'))).rejects.toMatchObject({ phase: 'commit', commitOutcome: 'unknown' })
})

test('a ROLLBACK after a lost COMMIT rejects with the loss', async () => {
  const pool = makePool()
  const client = await soon(pool.connect())
  await soon(client.query('begin'))
  server.backend().silent = true
  const commit = client.query('commit')
  commit.catch(() => {})
  await clock.advance(0)
  server.backend().disappear()
  await expect(soon(commit)).rejects.toMatchObject({ commitOutcome: 'unknown' })
  await expect(soon(client.query('rollback'))).rejects.toMatchObject({ commitOutcome: 'unknown' })
})
