import { getEventListeners } from 'node:events'
import { type AcquireOptions, Pool, withPoolOptions } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { documentedTransaction } from '../support/documented-transaction.ts'
import { Cluster, type ClusterConfig, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, warmUp } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const ENDLESS = "select pg_sleep('infinity')"

class TakesTooLong extends Error {}

/** The process that runs such a statement, once it does. */
function busyBackend(cluster: Cluster, applicationName: string, text = ENDLESS): Promise<number> {
  return until(async () => {
    const sessions = await cluster.sessions({ applicationName, state: 'active' })
    return sessions.find(({ query }) => query === text)?.pid
  })
}

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

/** Everything that a caller can wait for a connection by. */
const WAITING: readonly { how: string; ask(pool: Pool, signal: AbortSignal): Promise<unknown> }[] = [
  { how: 'connect({ signal })', ask: (pool, signal) => pool.connect({ signal }) },
  { how: 'query({ signal })', ask: (pool, signal) => pool.query({ text: 'select 1', signal }) },
  {
    how: 'withPoolOptions({ signal }) and connect()',
    ask: (pool, signal) => withPoolOptions({ signal }, () => pool.connect()),
  },
  {
    how: 'withPoolOptions({ signal }) and query()',
    ask: (pool, signal) => withPoolOptions({ signal }, () => pool.query('select 1')),
  },
  {
    how: 'a connect() of a subclass',
    ask: (pool, signal) => Object.setPrototypeOf(pool, TenantPool.prototype).query({ text: 'select 1', signal }),
  },
]

/** As a service with tenants overrides `connect`: every statement goes through it. */
class TenantPool extends Pool {
  // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of Pool.
  override connect(...args: any[]): any {
    return super.connect(...(args as [AcquireOptions]))
  }
}

describe('in line', () => {
  test('stock pg.Pool: a caller that gives up keeps its place, and its connection is lost', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const holder = await pool.connect()
    void unattended(pool.connect()) // Whoever waited for it has gone: there is no way to say so.
    holder.release()
    const next = unattended(pool.query('select 1'))
    await new Promise((resolve) => setImmediate(resolve))
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 0, 1])
    expect(await isPending(next)).toBe(true)
  })

  test.for(WAITING)(
    'Holdfast: a waiter that gives up leaves at once, and the others are served in order, by $how',
    async ({ ask }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const holder = await pool.connect()
      const served: string[] = []
      const controllers = [new AbortController(), new AbortController()]
      const givingUp: Promise<unknown>[] = []
      const others = ['first', 'second', 'third'].map(async (name, index, { length }) => {
        const statement = pool.query('select 1')
        if (index < length - 1) givingUp.push(unattended(ask(pool, controllers[index]?.signal as AbortSignal)))
        await statement
        served.push(name)
      })
      expect(pool.waitingCount).toBe(5)
      for (const controller of controllers) controller.abort(new TakesTooLong())
      expect(pool.waitingCount).toBe(3)
      for (const each of givingUp) expect(await rejection(each)).toBeInstanceOf(TakesTooLong)
      holder.release()
      await settles(Promise.all(others), 'the others')
      expect(served).toEqual(['first', 'second', 'third'])
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test.for(WAITING)(
    'Holdfast: a caller that has already given up opens nothing, by $how',
    async ({ ask }, { direct }) => {
      await using pool = holdfast(direct)
      expect(await rejection(ask(pool, AbortSignal.abort(new TakesTooLong())))).toBeInstanceOf(TakesTooLong)
      expect([pool.totalCount, pool.waitingCount]).toEqual([0, 0])
    },
  )

  test.for(WAITING)(
    'Holdfast: nothing hangs on the signal of a waiter afterwards, by $how',
    async ({ ask }, { direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const { signal } = new AbortController()
      const holder = await pool.connect()
      const late = ask(pool, signal)
      holder.release()
      const releaseIfLeased = (it: unknown): void => (it as Partial<pg.PoolClient>).release?.()
      releaseIfLeased(await late)
      releaseIfLeased(await ask(pool, signal))
      expect(getEventListeners(signal, 'abort')).toEqual([])
    },
  )

  test.for(WAITING)(
    'Holdfast: a connection that was being opened for a waiter that gives up joins the pool, by $how',
    async ({ ask }, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, max: 1 })
      const controller = new AbortController()
      proxy.delay(Number.POSITIVE_INFINITY)
      const given = ask(pool, controller.signal)
      await until(() => proxy.accepted === 1)
      controller.abort(new TakesTooLong())
      expect(await rejection(given)).toBeInstanceOf(TakesTooLong)
      expect(pool.waitingCount).toBe(0)
      await proxy.heal()
      await until(() => pool.idleCount === 1)
      expect(proxy.accepted).toBe(1)
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )

  test.for(WAITING)(
    'Holdfast: a waiter rejects even without a reason to speak of, by $how',
    async ({ ask }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const holder = await pool.connect()
      for (const reason of [null, 0, '']) {
        const controller = new AbortController()
        const waiting = ask(pool, controller.signal)
        controller.abort(reason)
        const outcomes = await Promise.allSettled([waiting, ask(pool, controller.signal)])
        expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
      }
      expect(pool.waitingCount).toBe(0)
      holder.release()
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: the error of a timeout signal comes through, with where the caller stood', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const holder = await pool.connect()
    expect(await rejection(pool.connect({ signal: AbortSignal.timeout(20) }))).toMatchObject({ name: 'TimeoutError' })
    holder.release()
  })

  test('Holdfast: while the server is away, the last waiter that gives up ends the attempts', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    proxy.refuse()
    const controller = new AbortController()
    const waiting = unattended(pool.connect({ signal: controller.signal }))
    await until(() => pool.waitingCount === 1)
    controller.abort(new TakesTooLong())
    expect(await rejection(waiting)).toBeInstanceOf(TakesTooLong)
    await until(() => pool.totalCount === 0)
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

/** Everything that runs a statement with a signal. */
const RUNNING: readonly { how: string; run(pool: Pool, text: string, signal: AbortSignal): Promise<unknown> }[] = [
  { how: 'pool.query({ signal })', run: (pool, text, signal) => pool.query({ text, signal }) },
  {
    how: 'withPoolOptions({ signal }) and pool.query',
    run: (pool, text, signal) => withPoolOptions({ signal }, () => pool.query(text)),
  },
  {
    how: 'client.query({ signal })',
    async run(pool, text, signal) {
      await using client = await pool.connect()
      await client.query({ text, signal } as pg.QueryConfig)
    },
  },
  {
    how: 'withPoolOptions({ signal }) and client.query',
    run: (pool, text, signal) =>
      withPoolOptions({ signal }, async () => {
        await using client = await pool.connect()
        await client.query(text)
      }),
  },
  {
    how: 'a transaction',
    run: (pool, text, signal) =>
      documentedTransaction(pool, ["insert into entry values ('given up')"], [{ text, signal } as pg.QueryConfig]),
  },
  {
    how: 'pool.transaction',
    run: (pool, text, signal) =>
      pool.transaction(async (tx) => {
        await tx.query("insert into entry values ('given up')")
        await tx.query({ text, signal } as pg.QueryConfig)
      }),
  },
]

describe('while a statement runs', () => {
  test('stock pg.Pool: a statement whose caller gives up goes on at the server', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const controller = new AbortController()
    const statement = unattended(pool.query({ text: ENDLESS, signal: controller.signal } as pg.QueryConfig))
    const pid = await busyBackend(cluster, direct.application_name)
    controller.abort()
    expect(await isPending(statement)).toBe(true)
    expect(await cluster.countSessions({ pid, state: 'active' })).toBe(1)
    await cluster.terminateBackends({ pid })
  })

  test.for(RUNNING)(
    'Holdfast: the server ends a statement whose caller gives up, and the connection goes on, by $how',
    async ({ run }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const controller = new AbortController()
      const statement = run(pool, ENDLESS, controller.signal)
      const pid = await busyBackend(cluster, direct.application_name)
      const next = pool.query<{ pid: number }>('select pg_backend_pid() as pid from pg_sleep(0.2)')
      controller.abort(new TakesTooLong())
      expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
      expect((await settles(next, 'the next statement')).rows).toEqual([{ pid }])
      expect(await isWritten(cluster, 'given up')).toBe(false)
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: a caller rejects before the server has ended the statement', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const controller = new AbortController()
    const statement = pool.query({ text: ENDLESS, signal: controller.signal })
    const pid = await busyBackend(cluster, proxied.application_name)
    proxy.delay(Number.POSITIVE_INFINITY)
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    expect(await cluster.countSessions({ pid, state: 'active' })).toBe(1)
    expect(pool.status()).toMatchObject({ size: 1, idle: 0, leased: 0, resetting: 1 })
    await proxy.heal()
    await until(() => pool.idleCount === 1)
    expect(pool.inspect().map((each) => each.backendPid)).toEqual([pid])
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: a statement rejects even without a reason to speak of', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    for (const reason of [null, 0, '']) {
      const controller = new AbortController()
      const statement = pool.query({ text: ENDLESS, signal: controller.signal })
      await busyBackend(cluster, direct.application_name)
      controller.abort(reason)
      expect(await Promise.allSettled([statement])).toMatchObject([{ status: 'rejected' }])
      await until(() => pool.idleCount === 1)
    }
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a statement that is given up calls its callback', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const told = new Promise((resolve) => {
      pool.query({ text: ENDLESS, signal: controller.signal } as pg.QueryConfig, (...args) => resolve(args))
    })
    await busyBackend(cluster, direct.application_name)
    controller.abort(new TakesTooLong())
    expect(await settles(told, 'the callback')).toEqual([expect.any(TakesTooLong), undefined])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a queued statement that is given up is never sent', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const client = await pool.connect()
    const running = client.query('select 1 as it from pg_sleep(0.3)')
    const queued = client.query({
      text: "insert into entry values ('queued')",
      signal: controller.signal,
    } as pg.QueryConfig)
    const behind = client.query('select 3 as it')
    controller.abort(new TakesTooLong())
    expect(await rejection(queued)).toBeInstanceOf(TakesTooLong)
    expect((await running).rows).toEqual([{ it: 1 }])
    expect((await behind).rows).toEqual([{ it: 3 }])
    client.release()
    expect(await isWritten(cluster, 'queued')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a named statement that was given up can be run again', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const named = { name: 'sleep', text: 'select pg_sleep($1)' }
    const statement = unattended(pool.query({ ...named, values: ['infinity'], signal: controller.signal }))
    const pid = await busyBackend(cluster, direct.application_name, named.text)
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    expect((await pool.query({ ...named, values: ['0'] })).rowCount).toBe(1)
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a signal that comes when the statement is over does nothing', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    await pool.query({ text: 'select 1', signal: controller.signal })
    const next = pool.query('select 2 as it from pg_sleep(0.2)')
    controller.abort()
    expect((await next).rows).toEqual([{ it: 2 }])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: whenever a signal comes, no other statement is cancelled', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const victims = Array.from({ length: 60 }, async (_, index) => {
      const controller = new AbortController()
      const statement = unattended(pool.query({ text: 'select pg_sleep(0.005)', signal: controller.signal }))
      for (let turn = 0; turn < index; turn++) await new Promise((resolve) => setImmediate(resolve))
      controller.abort(new TakesTooLong())
      return statement.catch((error: unknown) => expect(error).toBeInstanceOf(TakesTooLong))
    })
    const others = Array.from({ length: 60 }, () => pool.query('select 1 as it from pg_sleep(0.003)'))
    for (const { rows } of await settles(Promise.all(others), 'the others')) expect(rows).toEqual([{ it: 1 }])
    await settles(Promise.all(victims), 'those who gave up')
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a cancel request that comes late cancels nothing', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1, watch: false })
    const [pid] = await warmUp(pool, 1)
    const controller = new AbortController()
    const statement = pool.query({ text: 'select pg_sleep(0.1)', signal: controller.signal })
    await busyBackend(cluster, proxied.application_name, 'select pg_sleep(0.1)').catch(() => {})
    proxy.onLink((link) => link.delay(100))
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    const next = await settles(pool.query('select pg_backend_pid() as pid from pg_sleep(1.5)'), 'the next statement')
    expect(next.rows).toEqual([{ pid }])
    expect(proxy.accepted).toBe(2)
  })

  test("Holdfast: a late cancel request doesn't hit the client's next statement", async ({ proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1, watch: false })
    const controller = new AbortController()
    const client = await pool.connect()
    proxy.onLink((link) => link.delay(100))
    const statement = client.query({ text: 'select pg_sleep(0.1)', signal: controller.signal } as pg.QueryConfig)
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    expect((await settles(client.query('select 2 as it from pg_sleep(1.5)'), 'the next one')).rows).toEqual([{ it: 2 }])
    expect(proxy.accepted).toBe(2)
    client.release()
  })
})

describe('in a black hole', () => {
  test('Holdfast: giving up in a black hole rejects at once', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const controller = new AbortController()
    const statement = pool.query({ text: ENDLESS, signal: controller.signal })
    const pid = await busyBackend(cluster, proxied.application_name)
    const [link] = proxy.links
    proxy.swallow()
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    await settles(link?.clientLeft as Promise<void>, 'the connection to be destroyed')
    await proxy.heal()
    expect(await settles(backendPid(pool), 'the next statement')).not.toBe(pid)
    await cluster.terminateBackends({ pid })
    await until(async () => (await cluster.countSessions({ pid })) === 0)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: a slot in a black hole is free without a release', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const controller = new AbortController()
    const client = await pool.connect()
    const statement = client.query({ text: ENDLESS, signal: controller.signal } as pg.QueryConfig)
    const pid = await busyBackend(cluster, proxied.application_name)
    proxy.swallow()
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    await until(() => pool.totalCount === 0, { what: 'the connection to be given up' })
    expect(await rejection(client.query('select 1'))).toMatchObject({ name: 'ConnectionLostError' })
    client.release()
    await proxy.heal()
    await cluster.terminateBackends({ pid })
    await until(async () => (await cluster.countSessions({ pid })) === 0)
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

describe("a scope's signal is its callers' own", () => {
  test("Holdfast: a scope's signal doesn't reach the hook of a connection that is there for others, too", async ({
    cluster,
    proxy,
    proxied,
  }) => {
    const onConnect = async (client: pg.ClientBase): Promise<void> => {
      for (const link of proxy.links) link.delay(Number.POSITIVE_INFINITY)
      hooks.push(client)
      await client.query('select 1')
      await client.query('select 2')
    }
    const hooks: pg.ClientBase[] = []
    await using pool = holdfast({ ...proxied, max: 1, onConnect })
    const controller = new AbortController()
    const given = withPoolOptions({ signal: controller.signal }, () => pool.query('select 1'))
    const other = unattended(pool.query('select 1 as it'))
    await until(() => hooks.length === 1)
    controller.abort(new TakesTooLong())
    expect(await rejection(given)).toBeInstanceOf(TakesTooLong)
    await proxy.heal()
    expect((await settles(other, 'the other')).rows).toEqual([{ it: 1 }])
    expect(hooks).toHaveLength(1)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test("Holdfast: a scope's signal doesn't reach what listeners of connect send", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const sent: Promise<unknown>[] = []
    pool.on('connect', (client) => {
      controller.abort(new TakesTooLong())
      sent.push(unattended(client.query("set app.tenant = 'ours'")))
    })
    const given = withPoolOptions({ signal: controller.signal }, () => pool.query('select 1'))
    expect(await rejection(given)).toBeInstanceOf(TakesTooLong)
    await settles(Promise.all(sent), 'what the listener sent')
    expect((await pool.query("select current_setting('app.tenant') as it")).rows).toEqual([{ it: 'ours' }])
  })

  test("Holdfast: a scope's signal doesn't reach what the pool opens later, by itself", async ({ cluster, direct }) => {
    let hooks = 0
    const onConnect = async (client: pg.ClientBase): Promise<void> => {
      hooks++
      await client.query("set app.tenant = 'ours'")
    }
    await using pool = holdfast({ ...direct, min: 1, max: 2, onConnect })
    const controller = new AbortController()
    await withPoolOptions({ signal: controller.signal }, () => pool.query('select 1'))
    controller.abort(new TakesTooLong())
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(() => hooks > 1 && pool.idleCount >= 1, { what: 'the pool to have its minimum again' })
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test.for([
    {
      what: 'a function of the user',
      resetOnReturn: async (client: pg.PoolClient) => void (await client.query('reset all')),
    },
    { what: 'the hook that is called again', resetOnReturn: 'session' as const },
  ])("Holdfast: a scope's signal doesn't reach the reset: $what", async ({ resetOnReturn }, { cluster, direct }) => {
    const onConnect = async (client: pg.ClientBase): Promise<void> => {
      await client.query("set app.tenant = 'ours'")
    }
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn, onConnect })
    const pid = await backendPid(pool)
    const controller = new AbortController()
    await withPoolOptions({ signal: controller.signal }, async () => {
      const client = await pool.connect()
      await client.query('select 1')
      controller.abort(new TakesTooLong())
      client.release()
    })
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('the cancel request', () => {
  const ROADS: readonly { road: string; config(cluster: Cluster): ClusterConfig; tls: boolean }[] = [
    { road: 'TCP without TLS', tls: false, config: (cluster) => cluster.config() },
    { road: 'a Unix socket', tls: false, config: (cluster) => cluster.config({ host: cluster.socketDirectory }) },
    { road: 'direct TLS', tls: true, config: (cluster) => cluster.config({ sslnegotiation: 'direct' }) },
  ]

  test.for(ROADS)('Holdfast: a cancel request finds its way over $road', async ({ config, tls }) => {
    await using cluster = await Cluster.start({ tls, unixSocket: !tls })
    await using pool = holdfast({ ...config(cluster), application_name: 'cancelling', max: 1 })
    const controller = new AbortController()
    const statement = pool.query({ text: ENDLESS, signal: controller.signal })
    const pid = await busyBackend(cluster, 'cancelling')
    controller.abort(new TakesTooLong())
    expect(await rejection(statement)).toBeInstanceOf(TakesTooLong)
    expect(await settles(backendPid(pool), 'the next statement')).toBe(pid)
  })
})
