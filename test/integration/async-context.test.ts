import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type EventEmitter, once } from 'node:events'
import { Readable } from 'node:stream'
import { NullPool, Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect, onTestFinished } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'

const CALLERS = 12

const callers = new AsyncLocalStorage<string>()

/** Who is at work where this is called. */
const whoIs = (): string => callers.getStore() ?? 'nobody'

const NAMES = Array.from({ length: CALLERS }, (_, number) => `caller ${number + 1}`)

/** So many callers, all at once, each in its own context. */
async function allAtOnce(work: (name: string) => Promise<unknown>): Promise<void> {
  await Promise.all(NAMES.map((name) => callers.run(name, () => work(name))))
}

/** Opens so many connections, in a context that no later check asks for. */
async function warmUp(pool: Pool, count: number): Promise<void> {
  await callers.run('whoever warmed up', async () => {
    const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()))
    for (const client of clients) client.release()
  })
}

/** Who is found in a callback that is called with an error, or with something else. */
function whoIsCalled(start: (callback: (error: unknown) => void) => unknown): Promise<string> {
  return settles(new Promise((resolve) => start(() => resolve(whoIs()))), 'the callback')
}

/** Where each of these is emitted. */
function whereTold(emitter: EventEmitter, events: readonly string[]): string[] {
  const found: string[] = []
  for (const event of events) emitter.on(event, () => found.push(`${event}: ${whoIs()}`))
  return found
}

/** Where this is published, for as long as the test runs. */
function whereToldOn(event: string): string[] {
  const found: string[] = []
  const note = (): void => void found.push(whoIs())
  const name = `holdfast:${event}`
  subscribe(name, note)
  onTestFinished(() => void unsubscribe(name, note))
  return found
}

const unique = (found: readonly string[]): string[] => [...new Set(found)].toSorted()

// Enough for all, too few for most, and with every connection opened by another caller.
const POOLS = [
  { what: 'max: 20', max: 20, isWarm: false },
  { what: 'max: 2', max: 2, isWarm: false },
  { what: 'max: 2, connections opened by another', max: 2, isWarm: true },
]

async function openPool(options: PoolOptions, { max, isWarm }: { max: number; isWarm: boolean }): Promise<Pool> {
  const pool = new Pool({ ...options, max })
  if (isWarm) await warmUp(pool, max)
  return pool
}

describe.each(POOLS)('twelve callers at once, $what', (kind) => {
  test('twelve callers at once find what their own acquire and release listeners noted', async ({ direct }) => {
    await using pool = await openPool(direct, kind)
    const holders = new Map<pg.PoolClient, string>()
    const releases: [string | undefined, string][] = []
    pool.on('acquire', (client) => holders.set(client, whoIs()))
    pool.on('release', (_error, client) => {
      releases.push([holders.get(client), whoIs()])
      holders.delete(client)
    })
    await allAtOnce(async (name) => {
      const client = await pool.connect()
      await client.query('select 1')
      client.release()
      await pool.query('select 1')
      await whoIsCalled((done) => pool.query('select 1', done))
      await rejection(pool.query('select 1/0'))
      return name
    })
    expect(releases.filter(([holder, releaser]) => holder !== releaser)).toEqual([])
    expect(unique(releases.map(([, releaser]) => releaser))).toEqual(NAMES.toSorted())
    expect(releases).toHaveLength(4 * CALLERS)
  })

  test('twelve callers at once are called back in their own contexts', async ({ direct }) => {
    await using pool = await openPool(direct, kind)
    const wrong: string[] = []
    await allAtOnce(async (name) => {
      const found = {
        'pool.query': await whoIsCalled((done) => pool.query('select 1', done)),
        'pool.query with values': await whoIsCalled((done) => pool.query('select $1::int', [1], done)),
        'pool.query that fails': await whoIsCalled((done) => pool.query('select 1/0', done)),
        connect: await whoIsCalled((done) => {
          pool.connect((error, _client, release) => {
            release()
            done(error)
          })
        }),
      }
      const client = await pool.connect()
      const ofClient = {
        'client.query': await whoIsCalled((done) => client.query('select 1', done)),
        'client.query, in line': await whoIsCalled((done) => {
          void unattended(client.query('select 1'))
          client.query('select 2', done)
        }),
        'client.query that fails': await whoIsCalled((done) => client.query('select 1/0', done)),
        'client.query with a callback in its config': await whoIsCalled((callback) =>
          client.query({ text: 'select 1', callback } as pg.QueryConfig),
        ),
      }
      client.release()
      for (const [what, who] of Object.entries({ ...found, ...ofClient }))
        if (who !== name) wrong.push(`${what}: ${who}`)
    })
    expect(wrong).toEqual([])
  })

  test('twelve callers at once have their cursors, streams and copies in their own contexts', async ({ direct }) => {
    await using pool = await openPool(direct, kind)
    const numbers = 'select n from generate_series(1, 5) as n'
    const wrong: string[] = []
    await allAtOnce(async (name) => {
      const client = await pool.connect()
      const found: string[] = []
      const hear = (emitter: EventEmitter, ...events: string[]): void => {
        for (const event of events)
          emitter.on(event, () => found.push(`${emitter.constructor.name} ${event}: ${whoIs()}`))
      }
      try {
        const cursor = client.query(new Cursor(numbers))
        hear(cursor, 'row', 'end')
        found.push(`read: ${await whoIsCalled((done) => cursor.read(3, done))}`)
        found.push(`close: ${await whoIsCalled((done) => cursor.close(done))}`)

        const stream = client.query(new QueryStream(numbers, [], { batchSize: 2 }))
        hear(stream, 'data', 'end', 'close')
        await once(stream, 'close')
        const failing = client.query(new QueryStream('select 1/0'))
        hear(failing, 'error')
        failing.resume()
        await rejection(once(failing, 'close'))

        const query = client.query(new pg.Query(numbers))
        hear(query as unknown as EventEmitter, 'row', 'end')
        await once(query as unknown as EventEmitter, 'end')
        found.push(`Query: ${await whoIsCalled((done) => client.query(new pg.Query(numbers) as never, done))}`)

        const out = client.query(to('copy (select generate_series(1, 5)) to stdout'))
        hear(out, 'data', 'end')
        await once(out, 'end')
        await client.query('create temporary table if not exists item (id int)')
        const ingest = client.query(from('copy item from stdin'))
        hear(ingest, 'finish')
        Readable.from(['1\n', '2\n']).pipe(ingest)
        await once(ingest, 'finish')
      } finally {
        client.release()
      }
      found.push(`pool.query: ${await whoIsCalled((done) => pool.query(new pg.Query(numbers) as never, done))}`)
      expect(found.length).toBeGreaterThan(20)
      wrong.push(...found.filter((each) => !each.endsWith(`: ${name}`)).map((each) => `${name} in ${each}`))
    })
    expect(wrong).toEqual([])
  })

  test('twelve callers at once have their sessions reset in their own contexts', async ({ direct }) => {
    const wrong: string[] = []
    const holders = new Map<pg.ClientBase, string>()
    const resetOnReturn = async (client: pg.ClientBase): Promise<void> => {
      await client.query('select 1')
      if (holders.has(client) && holders.get(client) !== whoIs()) wrong.push(`${holders.get(client)}: ${whoIs()}`)
    }
    await using pool = await openPool({ ...direct, resetOnReturn }, kind)
    pool.on('acquire', (client) => holders.set(client, whoIs()))
    await allAtOnce(async () => {
      const client = await pool.connect()
      client.release()
      await pool.query('select 1')
    })
    expect(wrong).toEqual([])
    expect(holders.size).toBeGreaterThan(0)
  })
})

describe('what opening a connection calls', () => {
  const HOOKS = ['password', 'onConnect', 'verify', 'connect'] as const

  /** A pool that notes where each hook runs, and each listener. */
  function observed(options: PoolOptions, password: string): { pool: Pool; found: Record<string, string[]> } {
    const found: Record<string, string[]> = Object.fromEntries(HOOKS.map((hook) => [hook, []]))
    const note = (hook: string): void => void found[hook]?.push(whoIs())
    const pool = new Pool({
      ...options,
      password: async () => {
        note('password')
        return password
      },
      onConnect: async (client) => {
        await client.query('select 1')
        note('onConnect')
      },
      verify: (_client, done) => {
        note('verify')
        done()
      },
    } as PoolOptions)
    pool.on('connect', () => note('connect'))
    return { pool, found }
  }

  test('what opening calls runs in the context of the caller that caused it', async ({ direct, cluster }) => {
    const { pool, found } = observed({ ...direct, max: 20 }, cluster.password)
    await using _pool = pool
    await allAtOnce(() => pool.query('select pg_sleep(0.5)'))
    for (const hook of HOOKS) expect([hook, found[hook]?.toSorted()]).toEqual([hook, NAMES.toSorted()])
  })

  test('what opening calls runs in no context when the pool opens by itself', async ({ direct, cluster }) => {
    const { pool, found } = observed({ ...direct, max: 5, min: 3 }, cluster.password)
    await using _pool = pool
    await callers.run('the first', () => pool.query('select 1'))
    await until(() => pool.idleCount === 3, { what: 'three idle ones' })
    for (const hook of HOOKS) expect([hook, found[hook]?.toSorted()]).toEqual([hook, ['nobody', 'nobody', 'the first']])
  })

  test('what opening calls runs in no context when a lost one is replaced', async ({ direct, cluster }) => {
    const { pool, found } = observed({ ...direct, max: 2 }, cluster.password)
    await using _pool = pool
    const clients = await callers.run('the first', () => Promise.all([pool.connect(), pool.connect()]))
    for (const hook of HOOKS) found[hook]?.splice(0)
    const waiting = allAtOnce(() => pool.query('select 1'))
    await cluster.withAdmin((admin) =>
      admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
        direct.application_name,
      ]),
    )
    await waiting
    for (const client of clients) client.release()
    for (const hook of HOOKS) expect([hook, unique(found[hook] ?? [])]).toEqual([hook, ['nobody']])
  })

  test('what opening calls runs in no context when the pool tries again', async ({ proxied, proxy, cluster }) => {
    const { pool, found } = observed({ ...proxied, max: 1 }, cluster.password)
    await using _pool = pool
    const failures = whereToldOn('connect-failed')
    proxy.refuse()
    const waiting = callers.run('the first', () => pool.query('select 1'))
    await until(() => failures.length > 1, { what: 'a second failure' })
    await proxy.heal()
    await waiting
    expect(failures.slice(0, 2)).toEqual(['the first', 'nobody'])
    for (const hook of HOOKS) expect([hook, found[hook]]).toEqual([hook, ['nobody']])
  })
})

test("a client class's own connect runs in its caller's context, and the socket that it opens has no context", async ({
  direct,
}) => {
  const found: string[] = []
  class Tokens extends pg.Client {}
  const { connect } = pg.Client.prototype as unknown as { connect(this: pg.Client): Promise<void> }
  Object.assign(Tokens.prototype, {
    async connect(this: pg.Client): Promise<void> {
      await Promise.resolve()
      found.push(whoIs())
      await connect.call(this)
      found.push(whoIs())
    },
  })
  await using pool = new Pool({ ...direct, max: 1, Client: Tokens })
  const client = await callers.run('the caller', () => pool.connect())
  expect(found).toEqual(['the caller', 'the caller'])
  const told = whereTold(client, ['notice'])
  await callers.run('another', () => client.query("do $$ begin raise notice 'hear'; end $$"))
  client.release()
  expect(told).toEqual(['notice: nobody'])
})

test('what comes over a socket without TLS runs where what comes over one with it does', async ({ direct }) => {
  await using cluster = await Cluster.start({ tls: false })
  await using pool = new Pool({ ...cluster.config(), max: 1, application_name: direct.application_name })
  const client = await callers.run('the opener', () => pool.connect())
  const told = whereTold(client, ['notice'])
  await callers.run('another', () => client.query("do $$ begin raise notice 'hear'; end $$"))
  const called = await callers.run('the caller', () => whoIsCalled((done) => client.query('select 1', done)))
  client.release()
  expect([...told, called]).toEqual(['notice: nobody', 'the caller'])
})

describe('a listener of remove runs in the context', () => {
  test('a listener of remove runs in the context of the caller that discarded a connection', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 2 })
    const removed = whereTold(pool, ['remove'])
    await warmUp(pool, 2)
    await allAtOnce(async () => (await pool.connect()).release(true))
    await until(() => removed.length === CALLERS, { what: 'all to be removed' })
    expect(removed.toSorted()).toEqual(NAMES.map((name) => `remove: ${name}`).toSorted())
  })

  test('a listener of remove runs in the context of pool.query in a pool that keeps nothing', async ({ direct }) => {
    await using pool = new NullPool({ ...direct, max: 2 })
    const removed = whereTold(pool, ['remove'])
    await allAtOnce(() => pool.query('select 1'))
    await until(() => removed.length === CALLERS, { what: 'all to be removed' })
    expect(removed.toSorted()).toEqual(NAMES.map((name) => `remove: ${name}`).toSorted())
  })

  test('a listener of remove runs in the context of the caller that closed the pool', async ({ direct }) => {
    const pool = new Pool({ ...direct, max: 2 })
    const removed = whereTold(pool, ['remove'])
    await warmUp(pool, 2)
    await callers.run('the closer', () => pool.end())
    expect(removed).toEqual(['remove: the closer', 'remove: the closer'])
  })

  test('a listener of remove runs in no context if the connection has expired', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 2, idleTimeoutMillis: 50 })
    const removed = whereTold(pool, ['remove'])
    await callers.run('the first', () => pool.query('select 1'))
    await until(() => removed.length > 0, { what: 'the idle one to be removed' })
    expect(removed).toEqual(['remove: nobody'])
  })

  test('listeners of remove and error run in no context if the connection was lost', async ({ direct, cluster }) => {
    await using pool = new Pool({ ...direct, max: 2 })
    const told = whereTold(pool, ['remove', 'error'])
    await warmUp(pool, 2)
    await callers.run('whoever was there last', () => pool.query('select 1'))
    await cluster.withAdmin((admin) =>
      admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
        direct.application_name,
      ]),
    )
    await until(() => told.filter((each) => each.startsWith('remove')).length === 2, { what: 'both to be lost' })
    expect(unique(told)).toEqual(['error: nobody', 'remove: nobody'])
  })
})

describe('what concerns no caller in particular runs in no context', () => {
  test('the ping of an idle connection runs in no context, before a lease and in between', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1, prePing: { idleMillis: 0 }, keepaliveMillis: 50 })
    const pinged = whereToldOn('connection-pinged')
    await warmUp(pool, 1)
    await allAtOnce(() => pool.query('select 1'))
    await until(() => pinged.length > CALLERS, { what: 'pings' })
    expect(unique(pinged)).toEqual(['nobody'])
  })

  test('notices and notifications that come over a connection run in no context', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const client = await callers.run('the opener', () => pool.connect())
    const told = whereTold(client, ['notice', 'notification'])
    await callers.run('another', async () => {
      await client.query('listen news')
      await client.query("do $$ begin raise notice 'hear'; end $$")
      await client.query('notify news')
    })
    await until(() => told.length === 2, { what: 'both' })
    client.release()
    expect(told).toEqual(['notice: nobody', 'notification: nobody'])
  })
})

describe('a waiter that is refused is rejected in its own context', () => {
  /** A full pool, in which each of twelve waits for a callback. */
  async function refused(pool: Pool, signal: AbortSignal | undefined, refuse: () => unknown): Promise<string[]> {
    const wrong: string[] = []
    const [holder] = await callers.run('the holder', () => Promise.all([pool.connect()]))
    const told = whereToldOn('acquire-failed')
    const all = allAtOnce(async (name) => {
      const [query, connect] = await Promise.all([
        whoIsCalled((done) => pool.query({ text: 'select 1', signal } as pg.QueryConfig, done)),
        whoIsCalled((done) => {
          pool.connect((error, _client, release) => {
            release()
            done(error)
          })
        }),
        rejection(pool.query({ text: 'select 1', signal } as pg.QueryConfig)),
      ])
      for (const found of [query, connect]) if (found !== name) wrong.push(`${name}: ${found}`)
    })
    await until(() => pool.waitingCount === 3 * CALLERS, { what: 'all to wait' })
    callers.run('who refuses', refuse)
    await all
    holder?.release()
    expect(unique(told)).toEqual(NAMES.toSorted())
    return wrong
  }

  test('a waiter is rejected in its own context when its time is up', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1, connectionTimeoutMillis: 300 })
    expect(await refused(pool, undefined, () => {})).toEqual([])
  })

  test('a waiter is rejected in its own context when another caller closes the pool', async ({ direct }) => {
    const pool = new Pool({ ...direct, max: 1, closeTimeoutMillis: 100 })
    expect(await refused(pool, undefined, () => unattended(pool.end()))).toEqual([])
  })

  test('callers whose shared signal is aborted are told in their own contexts', async ({ direct, cluster }) => {
    await using pool = new Pool({ ...direct, max: 2, connectionTimeoutMillis: 300 })
    const controller = new AbortController()
    const { signal } = controller
    const running = callers.run('who runs', () =>
      whoIsCalled((done) => pool.query({ text: 'select pg_sleep(60)', signal } as pg.QueryConfig, done)),
    )
    await until(
      async () => (await cluster.sessions({ state: 'active', applicationName: direct.application_name })).length > 0,
      {
        what: 'the statement to run',
      },
    )
    expect(await refused(pool, signal, () => controller.abort())).toEqual([])
    expect(await running).toBe('who runs')
  })
})

test('a listener of acquire that is added while callers wait is called in their contexts all the same', async ({
  direct,
}) => {
  await using pool = new Pool({ ...direct, max: 1 })
  const holder = await callers.run('the holder', () => pool.connect())
  const served = allAtOnce(() => pool.query('select 1'))
  await until(() => pool.waitingCount === CALLERS, { what: 'all to wait' })
  const acquired = whereTold(pool, ['acquire'])
  callers.run('the holder', () => holder.release())
  await served
  expect(acquired).toEqual(NAMES.map((name) => `acquire: ${name}`))
})

test('onRetry of a transaction runs in the context of its caller', async ({ direct }) => {
  await using pool = new Pool({ ...direct, max: 2 })
  const found: string[] = []
  await allAtOnce(async (name) => {
    await pool.transaction(
      async (tx) => {
        await tx.query('select 1')
        if (tx.attempt === 1) await tx.query('do $$ begin raise serialization_failure; end $$')
      },
      { onRetry: () => found.push(whoIs() === name ? 'its own' : `${name}: ${whoIs()}`) },
    )
  })
  expect(found).toEqual(NAMES.map(() => 'its own'))
})
