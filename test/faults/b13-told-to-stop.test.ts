import { Socket } from 'node:net'
import type { Pool } from '@holdfast/core'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { Cluster, type ClusterConfig, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const ENDLESS = "select pg_sleep('infinity')"
const QUERY_TIMEOUT_MILLIS = 200
const MAX = 2
const TIMES = 12

type Named = ClusterConfig & { readonly application_name: string }

/** How many sessions are at work at the server. */
function atWork(cluster: Cluster, { application_name: applicationName }: Named): Promise<number> {
  return cluster.countSessions({ applicationName, state: 'active' })
}

/** Waits until the server works on nothing that this pool has sent. */
async function expectStopped(cluster: Cluster, config: Named): Promise<void> {
  await until(async () => (await atWork(cluster, config)) === 0, { what: 'no session to be at work' })
}

/** Waits until the server works on the one statement that this pool has sent. */
async function expectAtWork(cluster: Cluster, config: Named): Promise<void> {
  await until(async () => (await atWork(cluster, config)) === 1, { what: 'the statement to run' })
}

describe('query_timeout again and again', () => {
  test('stock pg.Pool: a statement runs on at the server after query_timeout', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: MAX, query_timeout: QUERY_TIMEOUT_MILLIS })
    await Promise.all(Array.from({ length: TIMES }, () => rejection(pool.query(ENDLESS))))
    expect(await atWork(cluster, direct)).toBe(TIMES)
    await cluster.terminateBackends({ applicationName: direct.application_name })
  })

  test.for(WAYS)(
    'Holdfast: every statement that runs into query_timeout is stopped at the server, through $way',
    async ({ run }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: MAX, query_timeout: QUERY_TIMEOUT_MILLIS })
      const seen: number[] = []
      const statements = Array.from({ length: TIMES }, async () => {
        expect(await rejection(run(pool, ENDLESS))).toMatchObject({ code: '08006', phase: 'query' })
        seen.push(await atWork(cluster, direct))
      })
      await Promise.all(statements)
      // As many as the pool has, and those that are being cancelled, however slow this machine is.
      expect(Math.max(...seen)).toBeLessThan(TIMES)
      await expectStopped(cluster, direct)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: a statement is stopped at the server by way of a socket of the user', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS, stream: () => new Socket() })
    await rejection(pool.query(ENDLESS))
    await expectStopped(cluster, direct)
  })

  test('Holdfast: a statement is stopped at the server over a Unix socket, without TLS', async () => {
    await using cluster = await Cluster.start({ unixSocket: true, tls: false })
    const config = { ...cluster.config({ application_name: 'unix' }), host: cluster.socketDirectory } as Named
    await using pool = holdfast({ ...config, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    await rejection(pool.query(ENDLESS))
    await expectStopped(cluster, config)
  })

  test('Holdfast: a cursor is stopped at the server, in a transaction', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS, lostCommit: 'report' })
    const client = await pool.connect()
    await client.query('begin')
    const cursor = client.query(new Cursor(ENDLESS))
    expect(await rejection(cursor.read(1))).toMatchObject({ code: '08006' })
    client.release()
    await expectStopped(cluster, direct)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a statement in a pipeline is stopped at the server', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS, pipeline: true } as never)
    await rejection(pool.query(ENDLESS))
    await expectStopped(cluster, direct)
  })

  test('Holdfast: a COMMIT is never stopped', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) =>
      admin.query(`create function wait() returns trigger language plpgsql as $$ begin perform pg_sleep(2); return new; end $$;
        create table slow (id int); grant all on slow to app;
        create constraint trigger wait after insert on slow deferrable initially deferred for each row execute function wait()`),
    )
    await using pool = holdfast({ ...direct, max: 1, lostCommit: 'report' })
    const client = await pool.connect()
    await client.query('begin')
    await client.query('insert into slow values (1)')
    const commit = { text: 'commit', query_timeout: QUERY_TIMEOUT_MILLIS } as pg.QueryConfig
    expect(await rejection(client.query(commit))).toMatchObject({ phase: 'commit', commitOutcome: 'unknown' })
    client.release()
    await expectStopped(cluster, direct)
    expect(await cluster.query('select id from slow')).toEqual([{ id: 1 }])
  })

  test('Holdfast: the caller rejects at query_timeout, and the pool ends, when the network is silent', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    const pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const client = await pool.connect()
    const statement = unattended(client.query(ENDLESS))
    proxy.swallow()
    expect(await rejection(statement)).toMatchObject({ code: '08006' })
    client.release()
    await settles(pool.end(), 'the end of the pool')
    expect(pool.totalCount).toBe(0)
    await cluster.terminateBackends({ applicationName: proxied.application_name })
  })
})

/** In which other ways a connection is closed whose statement still runs. */
const CLOSINGS: Record<string, (pool: Pool, client: pg.PoolClient) => unknown> = {
  'end() cuts it off': (pool) => pool.end(),
  'it is released with true': (_pool, client) => client.release(true),
  'its user ends the client': (_pool, client) => void (client as unknown as pg.Client).end(),
  'it is released, and stays busy': (_pool, client) => client.release(),
}

describe('a connection is closed while its statement runs', () => {
  test.for(Object.entries(CLOSINGS))(
    'Holdfast: a statement is cancelled at the server when %s',
    async ([, close], { cluster, direct }) => {
      const pool = holdfast({ ...direct, max: 1 })
      const client = await pool.connect()
      const statement = unattended(client.query(ENDLESS))
      await expectAtWork(cluster, direct)
      await settles(Promise.resolve(close(pool, client)), 'the closing')
      await expectStopped(cluster, direct)
      expect(await rejection(statement)).toMatchObject({ phase: 'query' })
      await pool[Symbol.asyncDispose]()
    },
  )
})
