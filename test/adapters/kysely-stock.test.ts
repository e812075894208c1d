import { Pool, type PoolOptions } from '@holdfast/core'
import { CompiledQuery, type InflightQueryAbortStrategy, Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import Cursor from 'pg-cursor'
import { describe, expect, vi } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import type { Tables } from './subjects/kysely-stock.ts'
import { causesOf, expectLoss } from './support/causes.ts'
import { busyBackend, written } from './support/health.ts'

const ENDLESS = "select pg_sleep('infinity')"
const STRATEGIES: readonly InflightQueryAbortStrategy[] = ['ignore query', 'cancel query', 'kill session']

class TakesTooLong extends Error {}

function kyselyWith(options: PoolOptions): { readonly db: Kysely<Tables>; readonly pool: Pool } & AsyncDisposable {
  const pool = new Pool({ closeTimeoutMillis: 500, ...options })
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool as PostgresPool, cursor: Cursor }) })
  return { db, pool, [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() }
}

/** Runs a statement that never ends by itself, with a signal. */
function runEndless(db: Kysely<Tables>, inflightQueryAbortStrategy: InflightQueryAbortStrategy) {
  const controller = new AbortController()
  const options = { signal: controller.signal, inflightQueryAbortStrategy }
  return { running: unattended(db.executeQuery(CompiledQuery.raw(ENDLESS), options)), controller }
}

describe('stock Kysely', () => {
  test.for(STRATEGIES)(
    "stock Kysely rejects at once when a signal is aborted, and frees the slot, by the strategy '%s'",
    async (strategy, { cluster, direct, applicationName }) => {
      await using kysely = kyselyWith({ ...direct, max: 1 })
      const { db, pool } = kysely
      const { running, controller } = runEndless(db, strategy)
      const pid = await busyBackend({ cluster, applicationName }, ENDLESS)
      controller.abort(new TakesTooLong())
      expect(causesOf(await rejection(running))).toContain(controller.signal.reason)
      // With this strategy Kysely doesn't end it.
      if (strategy === 'ignore query') await cluster.query('select pg_cancel_backend($1)', [pid])
      const { rows } = await settles(
        sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db),
        'the next statement',
      )
      expect(rows[0]?.pid === pid).toBe(strategy !== 'kill session')
      expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0])
    },
  )

  test.for(STRATEGIES)(
    "stock Kysely frees the slot after query_timeout when a signal is aborted in a black hole, by the strategy '%s'",
    async (strategy, { cluster, proxy, proxied, applicationName }) => {
      // Kysely reports there that its control connection failed.
      using _told = vi.spyOn(console, 'error').mockImplementation(() => {})
      await using kysely = kyselyWith({ ...proxied, max: 1, query_timeout: 500, connectionTimeoutMillis: 3000 })
      const { db, pool } = kysely
      const { running, controller } = runEndless(db, strategy)
      await busyBackend({ cluster, applicationName }, ENDLESS)
      proxy.swallow({ connections: 'all' })
      controller.abort(new TakesTooLong())
      await rejection(running)
      await until(() => pool.totalCount === 0, { what: 'the slot to be free' })
      await proxy.heal()
      await settles(sql`select 1`.execute(db), 'the next statement')
      await cluster.terminateBackends({ applicationName, state: 'active' })
      expect([pool.idleCount, pool.totalCount, pool.waitingCount]).toEqual([1, 1, 0])
    },
  )

  test('stock Kysely ends a stream in a transaction with the error when its connection dies, with chunks of any size', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    await using kysely = kyselyWith({ ...direct, max: 1 })
    for (const chunkSize of [1, 100]) {
      const transaction = kysely.db.transaction().execute(async (tx) => {
        const rows = tx.selectFrom(sql<{ n: number }>`generate_series(1, 100000)`.as('n')).selectAll()
        let isFirst = true
        for await (const _ of rows.stream(chunkSize)) {
          if (isFirst) await cluster.terminateBackends({ applicationName })
          isFirst = false
        }
      })
      expectLoss(await rejection(transaction), { code: '57P01', commitOutcome: 'aborted' })
    }
    await settles(sql`select 1`.execute(kysely.db), 'the next statement')
  })

  test("stock Kysely's connection() frees its slot when it dies", async ({ cluster, direct, applicationName }) => {
    await using kysely = kyselyWith({ ...direct, max: 1 })
    const held = kysely.db.connection().execute(async (db) => {
      await sql`select 1`.execute(db)
      await cluster.terminateBackends({ applicationName })
      await until(() => kysely.pool.totalCount === 0)
      await sql`select 1`.execute(db)
    })
    expectLoss(await rejection(held), { code: '57P01', sent: false })
    await settles(sql`select 1`.execute(kysely.db), 'the next statement')
  })

  test('stock Kysely runs onCreateConnection for each lease, since each has its own client', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const created = vi.fn(async () => {})
    const db = new Kysely<Tables>({
      dialect: new PostgresDialect({ pool: pool as PostgresPool, onCreateConnection: created }),
    })
    for (let time = 1; time <= 3; time++) await sql`select 1`.execute(db)
    expect(created).toHaveBeenCalledTimes(3)
  })

  test('stock Kysely runs onCreateConnection once for each connection with clientPerLease: false', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    await using pool = new Pool({ ...direct, max: 1, prePing: { idleMillis: 0 }, clientPerLease: false })
    const created = vi.fn(async () => {})
    const dialect = new PostgresDialect({ pool: pool as PostgresPool, onCreateConnection: created })
    const db = new Kysely<Tables>({ dialect })
    for (let time = 1; time <= 3; time++) await sql`select 1`.execute(db)
    expect(created).toHaveBeenCalledTimes(1)
    await cluster.terminateBackends({ applicationName })
    for (let time = 1; time <= 3; time++) await sql`select 1`.execute(db)
    expect(created).toHaveBeenCalledTimes(2)
  })

  test('stock Kysely reads the tables of the database by introspection', async ({ direct }) => {
    await using kysely = kyselyWith(direct)
    expect((await kysely.db.introspection.getTables()).map(({ name }) => name)).toContain('entry')
  })

  test('stock Kysely rolls a transaction back to a savepoint', async ({ cluster, direct, applicationName }) => {
    await using kysely = kyselyWith({ ...direct, max: 1 })
    const tx = await kysely.db.startTransaction().execute()
    await tx.insertInto('entry').values({ id: 'controlled' }).execute()
    const inner = await tx.savepoint('inner').execute()
    await inner.insertInto('entry').values({ id: 'controlled, inner' }).execute()
    await rejection(sql`select 1 / 0`.execute(inner))
    const outer = await inner.rollbackToSavepoint('inner').execute()
    await outer.commit().execute()
    expect(await written(cluster, 'controlled', 'controlled, inner')).toEqual(['controlled'])
    await until(async () => (await cluster.countSessions({ applicationName, state: 'idle' })) === 1)
  })

  test('stock Kysely ends the pool in destroy(), unless no query has run', async ({ direct }) => {
    const used = kyselyWith(direct)
    await sql`select 1`.execute(used.db)
    await used.db.destroy()
    expect(used.pool.ended).toBe(true)
    await using unused = kyselyWith(direct)
    await unused.db.destroy()
    expect(unused.pool.ended).toBe(false)
  })
})
