import { EventEmitter } from 'node:events'
import { ConnectError } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { deferred } from '../support/deferred.ts'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS } from './support/pools.ts'
import { Program } from './support/program.ts'
import { rejection, settles } from './support/settling.ts'

type Connected = (error?: Error | null) => void
// biome-ignore lint/suspicious/noExplicitAny: what pg.Client takes.
type Connect = (this: pg.Client, callback?: any) => any

const connectByPg = pg.Client.prototype.connect as Connect
const token = async (): Promise<void> => {}

/** A class of clients that connect in a way of their own. */
function clientClass(connect: Connect): typeof pg.Client {
  return class extends pg.Client {
    override connect(): Promise<pg.Client>
    override connect(callback?: (error: Error) => void): void
    override connect(callback?: unknown): unknown {
      return connect.call(this, callback)
    }
  } as unknown as typeof pg.Client
}

const WORKING: readonly { how: string; stock: boolean; connect: Connect }[] = [
  {
    how: 'takes only a callback, and returns nothing',
    stock: true,
    connect(callback: Connected) {
      void token().then(() => connectByPg.call(this, callback))
    },
  },
  {
    how: 'takes only a callback, at once',
    stock: true,
    connect(callback: Connected) {
      connectByPg.call(this, (error: Error) => callback(error))
    },
  },
  {
    how: 'is async, and hands the callback on',
    stock: true,
    async connect(callback: Connected) {
      await token()
      return connectByPg.call(this, callback)
    },
  },
  {
    how: 'knows only promises',
    stock: false,
    async connect() {
      await token()
      await connectByPg.call(this)
    },
  },
  {
    how: 'calls back twice',
    stock: false, // It releases the client twice, and the process ends.
    connect(callback: Connected) {
      connectByPg.call(this, (error: Error) => {
        callback(error)
        callback(error)
      })
    },
  },
]

describe.each(WORKING)("a client class of the user's own, whose connect $how", ({ stock, connect }) => {
  if (stock)
    test('stock pg.Pool: a client class with its own connect works', async ({ direct }) => {
      await using pool = new StockPool({ ...direct, Client: clientClass(connect) as never })
      expect((await settles(pool.query('select 1 as one'), 'the statement')).rows).toEqual([{ one: 1 }])
      await pool.end()
    })

  test.for(WAYS)(
    'Holdfast: a client class with its own connect works, through $way',
    async ({ run }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 2, Client: clientClass(connect) as never })
      const results = await settles(Promise.all([1, 2, 3].map(() => run(pool, 'select 1 as one'))), 'the statements')
      expect(results.map(({ rows }) => rows)).toEqual([1, 2, 3].map(() => [{ one: 1 }]))
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: a refusal is told although a client class has its own connect', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, password: 'wrong', Client: clientClass(connect) as never })
    expect(await rejection(pool.query('select 1'))).toMatchObject({ name: 'ConnectError', code: '28P01' })
    await nothingIsLeft(cluster, direct.application_name)
  })
})

const FAILING: readonly { how: string; connect: Connect }[] = [
  {
    how: 'throws',
    connect() {
      throw new Error('no token')
    },
  },
  {
    how: 'calls back with an error before it has opened anything',
    connect(callback: Connected) {
      void token().then(() => callback(new Error('no token')))
    },
  },
  { how: 'rejects', connect: () => Promise.reject(new Error('no token')) },
  {
    how: 'calls back with an error, with the session open',
    connect(callback: Connected) {
      connectByPg.call(this, () => callback(new Error('no token')))
    },
  },
  {
    how: 'rejects, with the session open',
    async connect() {
      await connectByPg.call(this)
      throw new Error('no token')
    },
  },
  {
    how: 'calls back with an error while the session is being opened',
    connect(callback: Connected) {
      connectByPg.call(this, () => {})
      callback(new Error('no token'))
    },
  },
  {
    how: 'calls back with an error, and opens the session then',
    connect(callback: Connected) {
      callback(new Error('no token'))
      setImmediate(() => connectByPg.call(this, () => {}))
    },
  },
]

describe.each(FAILING)("a client class of the user's own, whose connect $how", ({ connect }) => {
  test('Holdfast: a class whose connect fails rejects with it, and leaves no session', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 3, Client: clientClass(connect) as never })
    const errors = await settles(Promise.all([1, 2, 3].map(() => rejection(pool.query('select 1')))), 'the statements')
    for (const error of errors) {
      expect(error).toBeInstanceOf(ConnectError)
      expect(error).toMatchObject({ message: expect.stringContaining('no token') })
    }
    await until(() => pool.totalCount === 0, { what: 'the slots to be free' })
    await nothingIsLeft(cluster, direct.application_name)
  })
})

test('Holdfast: a class that never calls back fails at the deadline, and what it opens later is closed', async ({
  cluster,
  proxy,
  proxied,
}) => {
  const { promise: late, resolve: goOn } = deferred<void>()
  const called: unknown[] = []
  const Client = clientClass(function (this: pg.Client) {
    void late.then(() => connectByPg.call(this, (error: unknown) => called.push(error)))
  })
  await using pool = holdfast({ ...proxied, max: 1, connectionTimeoutMillis: 500, Client: Client as never })
  expect(await rejection(pool.query('select 1'))).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
  await settles(pool.end(), 'the end of the pool')
  goOn()
  await until(() => called.length > 0, { what: 'the class to be told' })
  expect(called[0]).toBeInstanceOf(Error)
  expect(proxy.accepted).toBe(0)
  await nothingIsLeft(cluster, proxied.application_name)
})

test('Holdfast: a class that never calls back although its session is open has it closed', async ({
  cluster,
  direct,
}) => {
  const Client = clientClass(function (this: pg.Client) {
    connectByPg.call(this, () => {})
  })
  await using pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 500, Client: Client as never })
  expect(await rejection(pool.query('select 1'))).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
  await settles(pool.end(), 'the end of the pool')
  await nothingIsLeft(cluster, direct.application_name)
})

test.for<{ what: string; connect: (callback: Connected) => unknown }>([
  {
    what: 'calls back with it',
    connect: (callback: Connected) => callback(new Error('no token')),
  },
  { what: 'rejects with it', connect: () => Promise.reject(new Error('no token')) },
  {
    what: 'throws it',
    connect: () => {
      throw new Error('no token')
    },
  },
])(
  'Holdfast: rejects with the error of a class with nothing but `connect` and `on`, when it $what',
  async ({ connect }, { direct }) => {
    class Bare extends EventEmitter {
      connect(callback: Connected): unknown {
        return connect(callback)
      }
    }
    await using pool = holdfast({ ...direct, Client: Bare as never })
    const error = await rejection(pool.query('select 1'))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({
      message: expect.stringContaining('no token'),
      cause: expect.objectContaining({ message: 'no token' }),
    })
    expect(pool.totalCount).toBe(0)
  },
)

test('Holdfast: a class that has nothing but `connect` and `on` and connects is told what it lacks', async ({
  direct,
}) => {
  class Bare extends EventEmitter {
    connect(callback: Connected): void {
      callback()
    }
  }
  await using pool = holdfast({ ...direct, Client: Bare as never })
  expect(await rejection(pool.query('select 1'))).toMatchObject({ message: expect.stringContaining('no `query`') })
})

test.for(['works', 'fails', 'never'] as const)(
  'Holdfast: the process exits by itself, if connect of a client class %s',
  async (what, { direct }) => {
    await using program = Program.start('own-connect', {
      options: { ...direct, ...(what === 'never' && { connectionTimeoutMillis: 500 }) },
      what,
    })
    expect(await program.tells(1)).toEqual([
      { works: 'served', fails: 'no token', never: 'HOLDFAST_POOL_TIMEOUT' }[what],
    ])
    expect(await program.ends()).toEqual({ code: 0, stderr: '' })
  },
)

async function nothingIsLeft(cluster: Cluster, applicationName: string): Promise<void> {
  await until(async () => (await cluster.countSessions({ applicationName })) === 0, { what: 'no session to be left' })
}
