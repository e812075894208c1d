import { isAbortedTransactionError, type Kysely, sql } from 'kysely'
import { describe, expect } from 'vitest'
import { test as base } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast, StockPool } from '../../faults/support/pools.ts'
import { isPending, rejection, settles, unattended } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { backendPid, kysely, stockKysely, type Tables } from './support/kysely.ts'

/** COMMIT waits until this advisory lock is free. */
const COMMIT_LOCK = 4712

/** An INSERT into a table whose unique constraint is deferred, so that COMMIT refuses it. */
const test = base.extend('late', async ({ cluster }) => {
  await cluster.withAdmin(async (admin) => {
    await admin.query('create table if not exists late (kind text unique deferrable initially deferred)')
    await admin.query('grant all on late to app')
  })
  return sql`insert into late values ('a kind'), ('a kind')`
})

/** A transaction in which the error of a statement was swallowed, so that COMMIT is answered with ROLLBACK. */
async function failedTransaction(db: Kysely<Tables>) {
  const trx = await db.startTransaction().execute()
  await rejection(sql`select 1 / 0`.execute(trx))
  return trx
}

describe('a controlled transaction whose COMMIT the server refuses', () => {
  test('a refused COMMIT keeps its connection until a rollback, with stock Kysely', async ({ direct, late }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const db = stockKysely(pool)
    const trx = await db.startTransaction().execute()
    await late.execute(trx)
    expect(await rejection(trx.commit().execute())).toMatchObject({ code: '23505' })
    const next = unattended(sql`select 1`.execute(db))
    await until(() => pool.waitingCount === 1)
    expect(await isPending(next)).toBe(true)
    await trx.rollback().execute()
    await settles(next, 'the next query')
  })

  test('a refused COMMIT rejects and releases, with HoldfastDialect', async ({ cluster, direct, late }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const trx = await kysely(pool).startTransaction().execute()
    await late.execute(trx)
    const error = await rejection(trx.commit().execute())
    expect(error).toMatchObject({ name: 'error', code: '23505', severity: 'ERROR' })
    expect([trx.isCommitted, trx.isRolledBack]).toEqual([false, true])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a controlled transaction whose COMMIT was refused may be rolled back without an effect on the next holder', async ({
    cluster,
    direct,
    late,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool)
    const trx = await db.startTransaction().execute()
    await late.execute(trx)
    await rejection(trx.commit().execute())
    await db.transaction().execute(async (other) => {
      await other.insertInto('entry').values({ id: 'next holder' }).execute()
      await trx.rollback().execute()
    })
    expect(await cluster.query("select id from entry where id = 'next holder'")).toHaveLength(1)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a transaction whose COMMIT was refused is not rolled back by db.transaction(), since it is over', async ({
    cluster,
    direct,
    late,
    applicationName,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const transaction = kysely(pool)
      .transaction()
      .execute(async (trx) => late.execute(trx))
    expect(await rejection(transaction)).toMatchObject({ name: 'error', code: '23505' })
    expect(await cluster.sessions({ applicationName })).toMatchObject([{ query: 'commit' }])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a controlled transaction whose COMMIT is answered with ROLLBACK', () => {
  test('a COMMIT answered with ROLLBACK rejects with what was swallowed, and releases', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const trx = await failedTransaction(kysely(pool))
    const error = await rejection(trx.commit().execute())
    expect(error).toMatchObject({ name: 'TransactionRolledBackError', code: '40000', cause: { code: '22012' } })
    expect(isAbortedTransactionError(error)).toBe(true)
    expect(trx.isRolledBack).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a controlled transaction whose connection dies', () => {
  test('a transaction that dies between statements frees its slot without a rollback', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const trx = await kysely(pool).startTransaction().execute()
    await cluster.terminateBackends({ pid: await backendPid(trx) })
    await expectHealthy(pool, cluster, direct.application_name)
    expect(await rejection(sql`select 1`.execute(trx))).toMatchObject({ code: '57P01', commitOutcome: 'aborted' })
    await trx.rollback().execute()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a transaction whose session is ended during COMMIT tells that nothing was written', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    await using pool = holdfast({ ...direct, max: 1, lostCommit: 'report' })
    const db = kysely(pool)
    await cluster.withAdmin(async (admin) => {
      await admin.query(`select pg_advisory_lock(${COMMIT_LOCK})`)
      const trx = await db.startTransaction().execute()
      await sql`create temporary table locked (id int)`.execute(trx)
      await sql`create function pg_temp.pass() returns trigger language plpgsql as
        ${sql.lit(`begin perform pg_advisory_xact_lock_shared(${COMMIT_LOCK}); return null; end`)}`.execute(trx)
      await sql`create constraint trigger pass after insert on locked deferrable initially deferred
        for each row execute function pg_temp.pass()`.execute(trx)
      await sql`insert into locked values (1)`.execute(trx)
      const committed = rejection(trx.commit().execute())
      const [session] = await until(async () => {
        const waiting = await cluster.sessions({ applicationName, state: 'active' })
        return waiting.length > 0 && waiting
      })
      await cluster.terminateBackends({ pid: session?.pid as number })
      const error = await committed
      expect(error).toMatchObject({ name: 'ConnectionLostError', phase: 'commit', commitOutcome: 'aborted' })
      expect(isAbortedTransactionError(error)).toBe(false)
    })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

test('a controlled transaction releases the connection when BEGIN fails', async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const db = kysely(pool)
  // Kysely knows this level, and PostgreSQL doesn't.
  expect(await rejection(db.startTransaction().setIsolationLevel('snapshot').execute())).toMatchObject({
    code: '42601',
  })
  await expectHealthy(pool, cluster, direct.application_name)
})

test('a controlled transaction rolls back to savepoints, and releases them', async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const trx = await kysely(pool).startTransaction().execute()
  await trx.insertInto('entry').values({ id: 'savepoint: kept' }).execute()
  const saved = await trx.savepoint('before').execute()
  await saved.insertInto('entry').values({ id: 'savepoint: undone' }).execute()
  await rejection(sql`select 1 / 0`.execute(saved))
  await saved.rollbackToSavepoint('before').execute()
  await saved.releaseSavepoint('before').execute()
  await trx.commit().execute()
  expect(await cluster.query("select id from entry where id like 'savepoint: %'")).toEqual([{ id: 'savepoint: kept' }])
  await expectHealthy(pool, cluster, direct.application_name)
})
