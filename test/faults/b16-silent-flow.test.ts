import diagnostics from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConnectionLostError, type PoolEventMessage, PoolTimeoutError } from '@holdfast/core'
import type { PoolClient } from 'pg'
import { describe, expect } from 'vitest'
import { type FaultProxy, type Link, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const SIZE = 10
/** What the watch promises is a second and a half. The slowest machine needs more. */
const FOUND_MILLIS = 10_000
const DIRECTIONS = ['to-server', 'to-client', 'both'] as const

/** The link of the connection that `client` has. */
function linkOf(client: PoolClient, proxy: FaultProxy): Link {
  const { localPort } = client.connection.stream as unknown as { readonly localPort: number }
  return proxy.links.find(({ clientPort }) => clientPort === localPort) as Link
}

/** What a pool has declared dead, from now on. */
function declaredDead(name: string): PoolEventMessage<'connection-declared-dead'>[] {
  const found: PoolEventMessage<'connection-declared-dead'>[] = []
  diagnostics.subscribe('holdfast:connection-declared-dead', (message) => {
    const event = message as PoolEventMessage<'connection-declared-dead'>
    if (event.pool.name === name) found.push(event)
  })
  return found
}

/** Options without any limit for statements. */
function unlimited(application_name: string): { name: string; max: number; prePing: { idleMillis: number } } {
  return { name: application_name, max: SIZE, prePing: { idleMillis: 60_000 } }
}

describe('one flow of ten is swallowed while a statement is in flight', () => {
  test('to-client, stock pg.Pool: the statement is still pending when Holdfast has its answer', async ({
    proxy,
    proxied,
  }) => {
    await using stock = new StockPool({ ...proxied, max: 1 })
    await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
    const clients = await Promise.all([stock.connect(), pool.connect()])
    for (const client of clients) linkOf(client, proxy).swallow('to-client')
    const [stocks, ours] = clients.map((client) => unattended(client.query('select 1')))
    // A read: it has run again.
    expect(await settles(ours as Promise<unknown>, 'the statement')).toMatchObject({ rowCount: 1 })
    expect(await isPending(stocks as Promise<unknown>)).toBe(true)
    clients[1]?.release()
  })

  test.for(DIRECTIONS)(
    '%s: Holdfast finds it without a query_timeout, and keeps the other nine',
    async (direction, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
      const dead = declaredDead(proxied.application_name)
      const pids = await warmUp(pool, SIZE)
      const client = await pool.connect()
      const pid = await backendPid(client)
      linkOf(client, proxy).swallow(direction)
      const error = await rejection(client.query('select 1 as one'))
      client.release()

      expect(error).toMatchObject({ name: 'ConnectionLostError', phase: 'query', sent: true })
      expect(dead).toMatchObject([
        {
          verdict: direction === 'to-client' ? 'answer-lost' : 'never-arrived',
          state: 'idle',
          connection: { backendPid: pid },
        },
      ])
      expect(dead[0]?.silentMillis).toBeGreaterThanOrEqual(750)
      expect(dead[0]?.silentMillis).toBeLessThan(FOUND_MILLIS)
      await until(async () => (await cluster.sessions({ pid })).length === 0, { what: 'the session to be ended' })
      const kept = await warmUp(pool, SIZE)
      expect(pids.filter((each) => kept.includes(each))).toHaveLength(SIZE - 1)
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )
})

describe.each(WAYS)('a write that has never arrived, through $way', ({ run }) => {
  test.for(['to-server', 'both'] as const)(
    '%s: it runs again, once, without an error',
    async (direction, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name), max: 1 })
      const dead = declaredDead(proxied.application_name)
      // A session that is gone before it could be seen once more proves nothing. On a busy machine that is frequent, and told.
      for (let round = 1; round <= 10; round++) {
        await pool.query('select 1')
        proxy.swallow({ connections: 'existing', direction })
        const id = `never arrived ${proxied.application_name} ${round}`
        const result = await settles(
          Promise.allSettled([run(pool, 'insert into entry values ($1)', [id])]),
          'the write',
        )
        await proxy.heal()
        const written = await cluster.query('select id from entry where id = $1', [id])
        expect(dead.at(-1)).toMatchObject({ verdict: 'never-arrived' })
        if (result[0].status === 'fulfilled') {
          expect(written).toHaveLength(1)
          return
        }
        expect(result[0].reason).toMatchObject({ statementOutcome: 'unknown' })
        expect(written).toEqual([])
      }
      expect.unreachable('each of ten writes was told as unknown')
    },
  )
})

test.for([
  ['commits', '', 'committed'],
  ['is rolled back', ' where 1 / (n - 1) > 0', undefined],
] as const)(
  'a slow write %s while its flow is dead: the server is asked what became of it',
  async ([_what, filter, outcome], { cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name), max: 1 })
    await pool.query('select 1')
    const id = `slow ${proxied.application_name}`
    const text = `with written as (insert into entry values ($1) returning id) select pg_sleep(1.2), id from written, generate_series(1, 1) n${filter}`
    const statement = Promise.allSettled([pool.query(text, [id])])
    await sleep(900)
    proxy.swallow({ connections: 'existing', direction: 'to-client' })
    const [result] = await settles(statement, 'the write')
    await proxy.heal()
    const written = await cluster.query('select id from entry where id = $1', [id])
    if (outcome) expect(result).toMatchObject({ reason: { statementOutcome: outcome } })
    // It did nothing, so it runs again, and fails with its own error.
    else expect(result).toMatchObject({ reason: { code: '22012' } })
    expect(written).toHaveLength(outcome ? 1 : 0)
  },
)

describe.each(WAYS)('every flow is swallowed, through $way', ({ run }) => {
  test.for(DIRECTIONS)('%s: no read fails, and no slot is lost', async (direction, { cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
    await warmUp(pool, SIZE)
    proxy.swallow({ connections: 'existing', direction })
    const statements = Array.from({ length: 16 }, () => unattended(run(pool, 'select 1 as one')))
    await settles(Promise.all(statements), 'the statements')
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

describe('every flow is swallowed, and every new one as well', () => {
  test('callers keep their deadline, and what is in flight is answered when the network is back', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
    await warmUp(pool, SIZE)
    proxy.swallow()
    const reads = Array.from({ length: SIZE }, () => unattended(pool.query('select 1 as one')))
    const late = await Promise.all(
      Array.from({ length: 3 }, () => rejection(pool.connect({ connectionTimeoutMillis: 1000 }))),
    )
    for (const error of late) expect(error).toBeInstanceOf(PoolTimeoutError)
    await proxy.heal()
    for (const { rows } of await settles(Promise.all(reads), 'the reads')) expect(rows).toEqual([{ one: 1 }])
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('end() is done in time, and says to whom it concerns that the connection is gone', async ({
    proxy,
    proxied,
  }) => {
    const pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
    await warmUp(pool, SIZE)
    proxy.swallow()
    const writes = Array.from({ length: SIZE }, () => unattended(pool.query("insert into entry values ('x')")))
    await settles(pool.end(), 'end()')
    for (const write of writes) expect(await rejection(write)).toBeInstanceOf(ConnectionLostError)
    expect(pool.totalCount).toBe(0)
  })
})

test('the flow is forgotten while the connection is idle for less than a ping: the statement does not hang', async ({
  cluster,
  proxy,
  proxied,
}) => {
  await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name), prePing: { idleMillis: 500 } })
  await warmUp(pool, SIZE)
  await pool.query('select 1')
  proxy.swallow({ connections: 'existing' })
  await settles(pool.query('select 1 as one'), 'the statement')
  await proxy.heal()
  await expectHealthy(pool, cluster, proxied.application_name)
})

test('the reply to COMMIT is swallowed: it is found long before commitTimeoutMillis, and the transaction resolves', async ({
  cluster,
  proxy,
  proxied,
}) => {
  await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
  await warmUp(pool, SIZE)
  const transaction = pool.transaction(async (tx) => {
    await tx.query("insert into entry values ('in silence')")
    proxy.swallow({ connections: 'existing', direction: 'to-client' })
    return 'done'
  })
  expect(await settles(transaction, 'the transaction')).toBe('done')
  expect(await cluster.query("select id from entry where id = 'in silence'")).toHaveLength(1)
  await proxy.heal()
  await expectHealthy(pool, cluster, proxied.application_name)
})

test('`watch: false`: nothing is asked', async ({ proxy, proxied }) => {
  const dead = declaredDead(proxied.application_name)
  await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name), watch: false })
  const client = await pool.connect()
  linkOf(client, proxy).swallow('to-client')
  const statement = unattended(client.query('select 1'))
  await sleep(2000)
  expect(await isPending(statement)).toBe(true)
  expect(dead).toEqual([])
  client.release(true)
})

describe('where the sessions can not be seen, there is no verdict and no error', () => {
  test('track_activities is off', async ({ cluster, proxy, proxied }) => {
    await cluster.withAdmin((admin) => admin.query("alter role app set track_activities = 'off'"))
    const dead = declaredDead(proxied.application_name)
    const limits: unknown[] = []
    const note = (message: unknown): void => void limits.push((message as PoolEventMessage<'watch-limited'>).reason)
    diagnostics.subscribe('holdfast:watch-limited', note)
    await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name) })
    const client = await pool.connect()
    linkOf(client, proxy).swallow('to-client')
    const statement = unattended(client.query('select 1'))
    await until(() => limits.length > 0, { what: 'the pool to say that it sees nothing' })
    diagnostics.unsubscribe('holdfast:watch-limited', note)
    await cluster.withAdmin((admin) => admin.query('alter role app reset track_activities'))
    expect(limits).toEqual(['insufficient-privilege'])
    expect(await isPending(statement)).toBe(true)
    expect(dead).toEqual([])
    client.release(true)
  })

  test('the connections have taken another role: the session of the watch has not', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await cluster.withAdmin(async (admin) => {
      await admin.query('create role reduced')
      await admin.query('grant reduced to app')
    })
    const onConnect = async (client: { query(text: string): unknown }): Promise<void> => {
      await client.query('set role reduced')
    }
    await using pool = holdfast({ ...proxied, ...unlimited(proxied.application_name), onConnect })
    await warmUp(pool, 2)
    const client = await pool.connect()
    linkOf(client, proxy).swallow('to-client')
    // It is found dead, and the read runs again.
    expect(await settles(client.query('select 1 as one'), 'the statement')).toMatchObject({ rows: [{ one: 1 }] })
    client.release()
  })
})
