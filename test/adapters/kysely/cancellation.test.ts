import { Pool } from '@holdfast/core'
import { withRetry } from '@holdfast/kysely'
import { type InflightQueryAbortStrategy, type Kysely, sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, vi } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast, StockPool } from '../../faults/support/pools.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { type Cluster, until } from '../../support/index.ts'
import { backendPid, kysely, stockKysely, type Tables } from './support/kysely.ts'
import { Program } from './support/program.ts'

class GivenUp extends Error {}

// After a caller has given up, Kysely reports failures of its query there.
beforeEach(() => {
  vi.spyOn(console, 'error').mockImplementation(() => {})
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** Waits for the statement that sleeps: whatever comes before it in its transaction is active for a moment, too. */
async function isAsleep(cluster: Cluster, applicationName: string): Promise<void> {
  await until(async () =>
    (await cluster.sessions({ applicationName })).some(({ waitEvent }) => waitEvent === 'PgSleep'),
  )
}

describe('a signal that is aborted while its caller waits for a connection', () => {
  /** Holds the only connection, and aborts the signal of a query that waits for it. */
  async function giveUp(db: Kysely<Tables>, pool: { readonly waitingCount: number }): Promise<() => Promise<unknown>> {
    const trx = await db.startTransaction().execute()
    const controller = new AbortController()
    const waiting = rejection(db.selectFrom('entry').select('id').execute({ signal: controller.signal }))
    await until(() => pool.waitingCount === 1)
    controller.abort(new GivenUp())
    expect(await waiting).toBeInstanceOf(GivenUp)
    return () => trx.rollback().execute()
  }

  test('with stock Kysely a signal leaves the waiter in the queue', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const endTransaction = await giveUp(stockKysely(pool), pool)
    expect(pool.waitingCount).toBe(1)
    await endTransaction()
  })

  test('with HoldfastDialect a signal removes the waiter from the queue', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const endTransaction = await giveUp(kysely(pool), pool)
    expect(pool.waitingCount).toBe(0)
    await endTransaction()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('with HoldfastDialect a signal removes connection() and streams from the queue', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const trx = await db.startTransaction().execute()
    const controller = new AbortController()
    const { signal } = controller
    const waiting = [
      rejection(db.connection().execute(() => Promise.resolve(), { signal })),
      rejection(db.selectFrom('entry').select('id').stream({ signal }).next()),
    ]
    await until(() => pool.waitingCount === 2)
    controller.abort(new GivenUp())
    for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(GivenUp)
    expect(pool.waitingCount).toBe(0)
    await trx.rollback().execute()
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a signal that is aborted while its query runs', () => {
  async function giveUp(db: Kysely<Tables>, strategy: InflightQueryAbortStrategy, running: () => Promise<void>) {
    const controller = new AbortController()
    const { signal } = controller
    const query = sql`select pg_sleep(1)`.execute(db, { signal, inflightQueryAbortStrategy: strategy })
    const told = rejection(query)
    await running()
    controller.abort(new GivenUp())
    expect(await told).toBeInstanceOf(GivenUp)
  }

  test("'ignore query' releases the connection when the query ends", async ({ cluster, direct, applicationName }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const pid = await backendPid(db)
    await giveUp(db, 'ignore query', () => isAsleep(cluster, applicationName))
    expect(pool.idleCount).toBe(0)
    expect(await backendPid(db)).toBe(pid)
    await expectHealthy(pool, cluster, applicationName)
  })

  test("'cancel query' ends the query and keeps the connection", async ({ cluster, direct, applicationName }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const pid = await backendPid(db)
    await giveUp(db, 'cancel query', () => isAsleep(cluster, applicationName))
    expect(await backendPid(db)).toBe(pid)
    expect(vi.mocked(console.error).mock.calls.join()).toMatch('canceling statement due to user request')
    await expectHealthy(pool, cluster, applicationName)
  })

  test("'kill session' ends the session and frees the slot", async ({ cluster, direct, applicationName }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const pid = await backendPid(db)
    await giveUp(db, 'kill session', () => isAsleep(cluster, applicationName))
    expect(await backendPid(db)).not.toBe(pid)
    expect(vi.mocked(console.error).mock.calls.join()).toMatch('terminating connection due to administrator command')
    await expectHealthy(pool, cluster, applicationName)
  })

  test('a signal leaves a transaction that can be rolled back', async ({ cluster, direct, applicationName }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const trx = await kysely(pool).startTransaction().execute()
    await giveUp(trx, 'cancel query', () => isAsleep(cluster, applicationName))
    await trx.rollback().execute()
    await expectHealthy(pool, cluster, applicationName)
  })

  test("a signal frees the slot though the cancellation can't reach the server", async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    // Without a deadline of its own, which would bound the cancellation as well.
    await using pool = new Pool({ ...proxied, max: 1, closeTimeoutMillis: 500 })
    const db = kysely(pool)
    await giveUp(db, 'cancel query', async () => {
      await isAsleep(cluster, applicationName)
      proxy.swallow({ connections: 'new' })
    })
    await until(() => pool.idleCount === 1, { what: 'the slot to be free' })
    expect(vi.mocked(console.error).mock.calls.join()).toMatch('`inflightQueryAbortHandler` failed')
    await proxy.heal()
    await expectHealthy(pool, cluster, applicationName)
  })

  test('a signal closes a stream', async ({ cluster, direct, applicationName }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const pid = await backendPid(db)
    const controller = new AbortController()
    const rows = sql<{ n: number }>`(select generate_series(1, 1000) as n)`.as('rows')
    const stream = db.selectFrom(rows).select('n').stream({ chunkSize: 1, signal: controller.signal })
    const read = rejection(
      (async () => {
        for await (const { n } of stream) if (n === 2) controller.abort(new GivenUp())
      })(),
    )
    expect(await read).toBeInstanceOf(GivenUp)
    expect(await backendPid(db)).toBe(pid)
    await expectHealthy(pool, cluster, applicationName)
  })
})

describe('the connection over which a query is cancelled', () => {
  /** A round trip takes so long that the answer of the server can be cut off on its way. */
  const DELAY_MILLIS = 150

  test.for([
    ["Kysely's own dialect on a Holdfast pool", 'stock'],
    ['HoldfastDialect', 'holdfast'],
  ] as const)(
    "the connection that carries a cancellation doesn't end the process when it dies, with %s",
    async ([, dialect], { cluster, proxy, proxied, applicationName }) => {
      await using program = Program.start('give-up', { dialect, config: { ...proxied, max: 1 } })
      await isAsleep(cluster, applicationName)
      const { links } = proxy
      proxy.onLink((link) => link.delay(DELAY_MILLIS))
      program.tell('give up')
      await until(async () => (await cluster.sessions({ applicationName })).some(({ query }) => /cancel/.test(query)))
      proxy.cut('rst', { links: proxy.links.filter((link) => !links.includes(link)) })
      const { code: ended, stderr } = await program.ends()
      expect([ended, /Unhandled 'error' event/.test(stderr)]).toEqual([0, false])
    },
  )
})

describe('the signal of withRetry', () => {
  test('the signal of withRetry cancels the running statement at the server, so that nothing is written', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    let attempts = 0
    const transaction = withRetry(kysely(pool).transaction(), { signal: controller.signal }).execute(async (trx) => {
      attempts++
      await trx.insertInto('entry').values({ id: 'given up' }).execute()
      await sql`select pg_sleep('infinity')`.execute(trx)
    })
    const told = rejection(transaction)
    await isAsleep(cluster, applicationName)
    controller.abort(new GivenUp())
    expect(await told).toBeInstanceOf(GivenUp)
    await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 0)
    expect(attempts).toBe(1)
    expect(await cluster.query("select from entry where id = 'given up'")).toEqual([])
    await expectHealthy(pool, cluster, applicationName)
  })

  test('the signal of withRetry removes its waiting transaction from the queue', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const trx = await db.startTransaction().execute()
    const controller = new AbortController()
    const waiting = rejection(withRetry(db.transaction(), { signal: controller.signal }).execute(() => {}))
    await until(() => pool.waitingCount === 1)
    controller.abort(new GivenUp())
    expect(await settles(waiting, 'the waiter')).toBeInstanceOf(GivenUp)
    expect(pool.waitingCount).toBe(0)
    expect(console.error).not.toHaveBeenCalled()
    await trx.rollback().execute()
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
