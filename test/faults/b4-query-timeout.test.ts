import { ConnectionLostError } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const QUERY_TIMEOUT_MILLIS = 500

/** A transaction as everyone writes it, in a session that stalls at `stallsAt`. Rejects with what surfaces. */
async function stalledTransaction(pool: pg.Pool, cluster: Cluster, stallsAt: 'begin' | 'insert'): Promise<number> {
  const client = await pool.connect()
  const pid = await backendPid(client)
  const stall = (at: string): Promise<void> | undefined => (at === stallsAt ? cluster.freezeBackend(pid) : undefined)
  try {
    await stall('begin')
    await client.query('begin')
    await stall('insert')
    await client.query("insert into entry values ('of the transaction')")
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    expect(error).toMatchObject({ message: expect.stringContaining('Query read timeout') })
  } finally {
    client.release()
  }
  return pid
}

describe.each(['begin', 'insert'] as const)('the server stalls at %s, longer than query_timeout', (stallsAt) => {
  test("stock pg.Pool: after query_timeout a later caller's write is lost", async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const pid = await stalledTransaction(pool, cluster, stallsAt)
    await cluster.thawBackend(pid)
    await until(async () => (await cluster.countSessions({ pid, state: 'idle in transaction' })) === 1)
    const id = `stock ${stallsAt}`
    expect(await pool.query('insert into entry values ($1)', [id])).toMatchObject({ rowCount: 1 })
    expect(await cluster.query('select from entry where id = $1', [id])).toEqual([])
  })

  test('Holdfast: after query_timeout what is acknowledged is written', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const pid = await stalledTransaction(pool, cluster, stallsAt)
    const id = `holdfast ${stallsAt}`
    await settles(pool.query('insert into entry values ($1)', [id]), 'the insert')
    await cluster.thawBackend(pid)
    expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
    await until(async () => (await cluster.countSessions({ pid })) === 0, { what: 'the old session to end' })
    expect(await cluster.query("select from entry where id = 'of the transaction'")).toEqual([])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('one statement takes longer than query_timeout', () => {
  test('stock pg.Pool: after query_timeout the client is released half-open, and the next caller times out', async ({
    cluster,
    direct,
  }) => {
    await using pool = new StockPool({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const [, viaConnect] = WAYS
    expect(await rejection(viaConnect?.run(pool, "select pg_sleep('infinity')") as Promise<unknown>)).toBeDefined()
    expect(await rejection(viaConnect?.run(pool, 'select 1') as Promise<unknown>)).toMatchObject({
      message: 'Query read timeout',
    })
    await cluster.terminateBackends({ applicationName: direct.application_name })
  })

  test.for(WAYS)(
    'Holdfast: at query_timeout its caller gets the typed error, the next one a connection, through $way',
    async (way, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
      const error = await rejection(way.run(pool, "select pg_sleep('infinity')"))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ code: '08006', phase: 'query', sent: true, commitOutcome: 'unknown' })
      expect(error.cause).toMatchObject({ message: 'Query read timeout' })
      await settles(way.run(pool, 'select 1'), 'the next statement')
      // Its socket is closed, but the server goes on until it looks.
      await cluster.terminateBackends({ applicationName: direct.application_name, state: 'active' })
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test("Holdfast: a statement's own query_timeout counts, too", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const config = { text: "select pg_sleep('infinity')", query_timeout: QUERY_TIMEOUT_MILLIS }
    expect(await rejection(pool.query(config))).toMatchObject({ code: '08006', phase: 'query' })
    await cluster.terminateBackends({ applicationName: direct.application_name, state: 'active' })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
