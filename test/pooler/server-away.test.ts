import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from '@holdfast/core'
import pg from 'pg'
import { test as base, describe, expect } from 'vitest'
import { Cluster, type StopMode, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'
import { CALLERS, type Outcomes, traffic } from './support/traffic.ts'

const SIZE = 10
/** So many in a row without a login in that moment have not been seen. */
const MOST_RESTARTS = 10

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.query('create table entry (id bigint generated always as identity)')
    await cluster.query('grant all on entry to app')
    return cluster
  })

/** The server goes away and comes back, with callers all the time: until they are served again. */
async function restartUnder(cluster: Cluster, mode: StopMode, run: () => Promise<unknown>): Promise<Outcomes> {
  const { outcomes, stop } = traffic(run)
  await until(() => outcomes.succeeded > 5 * CALLERS)
  await cluster.stop(mode)
  await pause(1000) // For as long the server is away.
  await cluster.start()
  const { succeeded } = outcomes
  await until(() => outcomes.succeeded > succeeded + 5 * CALLERS, { timeoutMillis: 40_000 })
  return await stop()
}

/** Errors of statements that PgBouncer has passed on to no server. */
function refusals({ errors }: Outcomes): Error[] {
  return errors.filter(({ message }) => /server login|query_wait|shutting down|cannot connect/.test(message))
}

/** Errors of statements that a server was at work on when it went away. */
const LOST = /terminating connection due to|server conn crashed\?/

describe.each<{ mode: StopMode }>([{ mode: 'fast' }, { mode: 'kill' }])('the server restarts ($mode)', ({ mode }) => {
  test('stock pg.Pool: a restart behind PgBouncer fails statements that reached no server', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { server_login_retry: 1 })
    const pool = new pg.Pool({ ...pgbouncer.config(), max: SIZE })
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    // PgBouncer refuses those that wait when a login has failed, and not when it can't connect. Whether it logs in at the moment
    // in which the server shuts down or starts up is chance, and so is the restart that shows it.
    const refused: Error[] = []
    for (let restart = 0; refused.length === 0 && restart < MOST_RESTARTS; restart++)
      refused.push(...refusals(await restartUnder(cluster, mode, () => pool.query('select 1'))))
    await pool.end()
    expect(refused).not.toEqual([])
  })

  test.for([1, 15])(
    'Holdfast: a restart behind PgBouncer fails none, with server_login_retry %i, and each write is there once',
    async (retry, { cluster }) => {
      await using pgbouncer = await PgBouncer.start(cluster, { server_login_retry: retry })
      await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
      const outcomes = await restartUnder(cluster, mode, () => pool.query('insert into entry default values'))
      expect(outcomes.errors.filter(({ message }) => !LOST.test(message))).toEqual([])
      const [row] = await cluster.query<{ count: number }>('select count(*)::int from entry')
      // One whose outcome is unknown may be there, or not.
      expect(row?.count).toBeGreaterThanOrEqual(outcomes.succeeded)
      expect(row?.count).toBeLessThanOrEqual(outcomes.succeeded + outcomes.errors.length)
    },
  )

  test('Holdfast: a restart behind PgBouncer causes no error at all for transactions', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { server_login_retry: 1 })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
    const transact = (): Promise<unknown> =>
      pool.transaction((tx) => tx.query('insert into entry default values'), { retry: { retries: 10 } })
    const outcomes = await restartUnder(cluster, mode, transact)
    expect(outcomes.errors).toEqual([])
    expect(await cluster.query('select count(*)::int from entry')).toEqual([{ count: outcomes.succeeded }])
  })
})

test('Holdfast: the server is away when the pool is made, and callers wait until it is there', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { server_login_retry: 1 })
  await cluster.stop('fast')
  await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
  const callers = Array.from({ length: CALLERS }, () => pool.query('select 1 as one'))
  await until(() => pool.waitingCount === CALLERS)
  await cluster.start()
  for (const { rows } of await Promise.all(callers)) expect(rows).toEqual([{ one: 1 }])
})

test('Holdfast: the pooler takes no more clients, and callers wait until it does', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { max_client_conn: SIZE })
  const others = Array.from({ length: SIZE }, () => new pg.Client(pgbouncer.config()))
  await Promise.all(others.map((client) => client.connect()))
  await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
  const caller = pool.query('select 1 as one')
  await until(() => pool.waitingCount === 1)
  await Promise.all(others.map((client) => client.end()))
  expect((await caller).rows).toEqual([{ one: 1 }])
})

test('Holdfast: a wrong password and an unknown database reject at once', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster)
  await using stranger = new Pool({ ...pgbouncer.config(), password: 'wrong' })
  await expect(stranger.query('select 1')).rejects.toMatchObject({ name: 'ConnectError', code: '08P01' })
  await using lost = new Pool({ ...pgbouncer.config(), database: 'nowhere' })
  await expect(lost.query('select 1')).rejects.toThrow('does not exist')
})
