import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { physicalClient } from '../../../packages/core/src/connection/leased-client-factory.ts'
import { physicalClientClass } from '../../../packages/core/src/connection/physical-client.ts'
import { Pool } from '../../../packages/core/src/pool.ts'
import { FakeServer, serverError, systemError } from '../../support/fake-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'

let clock: FakeClock
let server: FakeServer

beforeEach(() => {
  clock = new FakeClock()
  server = new FakeServer()
})
afterEach(() => clock[Symbol.dispose]())

/** Waits for a promise that needs no timer, only turns of the event loop. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  await clock.advance(0)
  return promise
}

describe('the class of clients', () => {
  test('the class of clients derives from pg.Client, and its name does not contain Pool: Drizzle would take the client for a pool', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    expect(client).toBeInstanceOf(pg.Client)
    expect(client).toBeInstanceOf(server.Client)
    expect(client.constructor.name).toBe('LeasedClient')
  })

  test('the class of clients can be derived from any JavaScript client class', () => {
    class TracingClient extends pg.Client {}
    expect(physicalClientClass(TracingClient).prototype).toBeInstanceOf(TracingClient)
  })

  test('all pools with the same client class share one class of clients', () => {
    class TracingClient extends pg.Client {}
    expect(physicalClientClass()).toBe(physicalClientClass(pg.Client))
    expect(physicalClientClass(TracingClient)).toBe(physicalClientClass(TracingClient))
    expect(physicalClientClass(TracingClient)).not.toBe(physicalClientClass())
  })

  test('the class of clients is not derived from a value that is no class', () => {
    expect(() => physicalClientClass(42 as never)).toThrow(expect.objectContaining({ code: 'HOLDFAST_INVALID_OPTION' }))
  })
})

describe('release', () => {
  test('release throws when it is called a second time', async () => {
    const pool = new Pool({ Client: server.Client, watch: false })
    const client = await soon(pool.connect())
    client.release()
    expect(() => client.release()).toThrow(
      expect.objectContaining({
        code: 'HOLDFAST_RELEASED',
        message: 'Release called on client which has already been released to the pool.',
      }),
    )
    expect(pool.idleCount).toBe(1)
  })

  test('a released client refuses statements', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    client.release()
    await expect(soon(client.query('select 1'))).rejects.toMatchObject({ code: 'HOLDFAST_RELEASED' })
    expect(server.received).toEqual([])
  })

  test('the release of an earlier lease can not end the next lease', async () => {
    const pool = new Pool({ Client: server.Client, max: 1, watch: false })
    const first = await soon(pool.connect())
    const { release, [Symbol.dispose]: dispose, [Symbol.asyncDispose]: asyncDispose } = first
    first.release()
    const second = await soon(pool.connect())
    expect(second).not.toBe(first)
    expect(physicalClient(second)).toBe(physicalClient(first))

    expect(() => release()).toThrow(expect.objectContaining({ code: 'HOLDFAST_RELEASED' }))
    dispose()
    await asyncDispose()
    expect(pool.idleCount).toBe(0)
    await expect(soon(second.query('select 1'))).resolves.toBeDefined()
  })

  test('a client that is released before the end of its `await using` is not released again', async () => {
    const pool = new Pool({ Client: server.Client, max: 1, watch: false })
    {
      await using client = await soon(pool.connect())
      client.release()
    }
    expect(pool.idleCount).toBe(1)
  })

  test.each([
    {
      how: 'await using',
      lease: async (pool: Pool) => {
        await using client = await soon(pool.connect())
        return client.query === undefined
      },
    },
    {
      how: 'using',
      lease: async (pool: Pool) => {
        using client = await soon(pool.connect())
        return client.query === undefined
      },
    },
  ])('the end of a `$how` releases the client', async ({ lease }) => {
    const pool = new Pool({ Client: server.Client, watch: false })
    await lease(pool)
    expect(pool.idleCount).toBe(1)
  })

  test('a client has no more listeners after 100 leases', async () => {
    const pool = new Pool({ Client: server.Client, max: 1, watch: false })
    const client = await soon(pool.connect())
    const { wire } = server.backend()
    const listeners = () =>
      [client, wire].map((emitter) => emitter.eventNames().map((name) => [name, emitter.listenerCount(name)]))
    const before = listeners()
    client.release()
    for (let lease = 0; lease < 100; lease++) {
      const again = await soon(pool.connect())
      await soon(again.query('begin'))
      again.release()
      await clock.advance(0)
    }
    expect(listeners()).toEqual(before)
    expect(server.backends).toHaveLength(1)
  })
})

describe('a client whose connection was lost', () => {
  async function lostInTransaction(): Promise<pg.PoolClient> {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    await soon(client.query('begin'))
    server.backend().fail(systemError('ECONNRESET'))
    await clock.advance(0)
    return client
  }

  test.each(['ROLLBACK', 'rollback;', 'ABORT'])(
    'a lost client answers %s with success: the server has rolled back',
    async (sql) => {
      const client = await lostInTransaction()
      await expect(soon(client.query(sql))).resolves.toMatchObject({ command: 'ROLLBACK', rows: [] })
      expect(server.received).toEqual(['begin'])
    },
  )

  test('a ROLLBACK that is in flight when its connection is lost succeeds, too', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    await soon(client.query('begin'))
    server.backend().silent = true
    const rollback = client.query('ROLLBACK')
    server.backend().fail(systemError('ECONNRESET'))
    await expect(soon(rollback)).resolves.toMatchObject({ command: 'ROLLBACK' })
  })

  test.each(['COMMIT', 'select 1', "ROLLBACK PREPARED 'x'"])('a lost client refuses %s with the loss', async (sql) => {
    const client = await lostInTransaction()
    await expect(soon(client.query(sql))).rejects.toMatchObject({
      name: 'ConnectionLostError',
      code: 'ECONNRESET',
      phase: 'transaction',
      commitOutcome: 'aborted',
      sent: false,
    })
  })

  test('a lost client calls back with the loss after query has returned', async () => {
    const client = await lostInTransaction()
    let error: unknown
    client.query('select 1', (refusal) => {
      error = refusal
    })
    expect(error).toBeUndefined()
    await clock.advance(0)
    expect(error).toMatchObject({ name: 'ConnectionLostError' })
  })

  test('a lost client emits the loss on a pg.Query', async () => {
    const client = await lostInTransaction()
    const query = client.query(new pg.Query('select 1'))
    const error = new Promise((resolve) => query.on('error', resolve))
    await clock.advance(0)
    expect(await error).toMatchObject({ name: 'ConnectionLostError', sent: false })
  })
})

describe('a statement', () => {
  test('a pg.Query in flight emits the loss', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    server.backend().silent = true
    const query = client.query(new pg.Query('select 1'))
    const error = new Promise((resolve) => query.on('error', resolve))
    server.backend().fail(systemError('ECONNRESET'))
    await clock.advance(0)
    expect(await error).toMatchObject({ name: 'ConnectionLostError', sent: true })
  })

  test('a statement with values or a name is passed to the driver unchanged', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    await soon(client.query('select $1', [1]))
    await soon(client.query({ name: 'mine', text: 'select $1::int', values: [1] }))
    expect(server.received).toEqual(['select $1', 'select $1::int'])
  })

  test('a statement in callback form returns nothing and calls back', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    const told: unknown[] = []
    expect(client.query('select 1', (...args) => told.push(args.length))).toBeUndefined()
    client.query('select $1', [1], (...args) => told.push(args.length))
    await clock.advance(0)
    expect(told).toEqual([2, 2])
  })

  test('a statement that is null is refused as pg refuses it', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    expect(() => client.query(null as never)).toThrow(TypeError)
  })

  test('a statement that fails has the stack of its caller', async () => {
    const client = await soon(new Pool({ Client: server.Client, watch: false }).connect())
    server.backend().failures.set('bad', serverError('42601', 'syntax error'))
    async function inTheApplication(): Promise<void> {
      await client.query('bad')
    }
    const error = await soon(inTheApplication().catch((failure: Error) => failure))
    expect((error as Error).stack).toContain('inTheApplication')
  })
})

test('a client that its caller has ended leaves the pool, and its slot is free', async () => {
  const pool = new Pool({ Client: server.Client, max: 1, watch: false })
  const client = await soon(pool.connect())
  await soon(client.end())
  client.release()
  expect(pool.totalCount).toBe(0)
  await expect(soon(pool.connect())).resolves.toBeDefined()
})

test('an `onConnect` hook may use the client before the first lease', async () => {
  const pool = new Pool({
    Client: server.Client,
    watch: false,
    onConnect: async (client) => {
      await client.query('set search_path = app')
    },
  })
  await soon(pool.connect())
  expect(server.received).toEqual(['set search_path = app'])
})
