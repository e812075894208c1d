import { OptionsError } from '@holdfast/core'
import { withRetry } from '@holdfast/kysely'
import { CamelCasePlugin, Kysely, PostgresDialect, sql, type TransactionBuilder } from 'kysely'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast, StockPool } from '../../faults/support/pools.ts'
import { rejection } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { backendPid, entries, kysely, stockKysely, type Tables } from './support/kysely.ts'

/** Retries almost without delay. */
const AGAIN = { retry: { retries: 3, minTimeout: 1, maxTimeout: 10 } }

function builderOf(db: Kysely<Tables>): TransactionBuilder<Tables> {
  return db.transaction()
}

async function setting(db: Kysely<Tables>, name: string): Promise<unknown> {
  const { rows } = await sql<{ it: string }>`select current_setting(${name}) as it`.execute(db)
  return rows[0]?.it
}

test('withRetry runs a transaction again that lost its connection before COMMIT', async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const db = kysely(pool)
  const attempts: number[] = []
  const result = await withRetry(builderOf(db)).execute(async (trx, { attempt }) => {
    attempts.push(attempt)
    await trx
      .insertInto('entry')
      .values({ id: `run again: ${attempt}` })
      .execute()
    if (attempt === 1) await cluster.terminateBackends({ pid: await backendPid(trx) })
    return trx.selectFrom('entry').select('id').where('id', 'like', 'run again: %').execute()
  })
  expect(attempts).toEqual([1, 2])
  expect(result).toEqual([{ id: 'run again: 2' }])
  expect(await entries(db, 'run again')).toEqual(['run again: 2'])
  await expectHealthy(pool, cluster, direct.application_name)
})

test("Kysely's own transaction runs once, and rejects with the cause", async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const transaction = builderOf(kysely(pool)).execute(async (trx) => {
    await cluster.terminateBackends({ pid: await backendPid(trx) })
    await backendPid(trx)
  })
  expect(await rejection(transaction)).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
  await expectHealthy(pool, cluster, direct.application_name)
})

test('withRetry runs a transaction again after a conflict', async ({ cluster, direct }) => {
  await using pool = holdfast(direct)
  const db = kysely(pool)
  await db.insertInto('entry').values({ id: 'contested' }).execute()
  const builder = builderOf(db).setIsolationLevel('repeatable read')
  const attempts = await withRetry(builder, AGAIN).execute(async (trx, { attempt }) => {
    await entries(trx, 'contested')
    if (attempt === 1)
      await db.updateTable('entry').set({ id: 'contested, once' }).where('id', '=', 'contested').execute()
    await trx.updateTable('entry').set({ id: 'contested, twice' }).where('id', 'like', 'contested%').execute()
    return attempt
  })
  expect(attempts).toBe(2)
  expect(await entries(db, 'contested')).toEqual(['contested, twice'])
  await expectHealthy(pool, cluster, direct.application_name)
})

test('withRetry runs a transaction again after a conflict that COMMIT finds', async ({ cluster, direct }) => {
  await using pool = holdfast(direct)
  const db = kysely(pool)
  const serializable = (): TransactionBuilder<Tables> => builderOf(db).setIsolationLevel('serializable')
  const skew = async (trx: Kysely<Tables>, id: string): Promise<void> => {
    await sql`select count(*) from entry where id like 'skew: %'`.execute(trx)
    await trx
      .insertInto('entry')
      .values({ id: `skew: ${id}` })
      .execute()
  }
  const attempts = await withRetry(serializable(), AGAIN).execute(async (trx, { attempt }) => {
    await skew(trx, 'mine')
    if (attempt === 1) await serializable().execute((other) => skew(other, 'other'))
    return attempt
  })
  expect(attempts).toBe(2)
  expect(await entries(db, 'skew')).toEqual(['skew: mine', 'skew: other'])
  await expectHealthy(pool, cluster, direct.application_name)
})

test('withRetry does not run a transaction again when the answer to COMMIT is lost', async ({
  cluster,
  proxy,
  proxied,
  applicationName,
}) => {
  await using pool = holdfast({ ...proxied, max: 1, lostCommit: 'report' })
  const db = kysely(pool)
  let runs = 0
  const transaction = rejection(
    withRetry(builderOf(db), AGAIN).execute(async (trx) => {
      runs++
      await trx.insertInto('entry').values({ id: 'without an answer' }).execute()
      proxy.swallow({ direction: 'to-client' })
    }),
  )
  const isWritten = async (): Promise<boolean> =>
    (await cluster.query("select from entry where id = 'without an answer'")).length === 1
  await until(isWritten)
  proxy.cut('rst')
  expect(await transaction).toMatchObject({ name: 'ConnectionLostError', phase: 'commit', commitOutcome: 'unknown' })
  expect(runs).toBe(1)
  await proxy.heal()
  await expectHealthy(pool, cluster, applicationName)
})

test("withRetry rejects with the function's own error after one attempt", async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const mine = new RangeError('mine')
  let runs = 0
  const transaction = withRetry(builderOf(kysely(pool)), AGAIN).execute(async (trx) => {
    runs++
    await trx.insertInto('entry').values({ id: 'not to be' }).execute()
    await cluster.terminateBackends({ pid: await backendPid(trx) })
    throw mine
  })
  expect(await rejection(transaction)).toBe(mine)
  expect(runs).toBe(1)
  expect(await cluster.query("select from entry where id = 'not to be'")).toEqual([])
  await expectHealthy(pool, cluster, direct.application_name)
})

test.for([
  ['retry: false', { retry: false }, 1],
  ['retry: { retries: 2 }', { retry: { retries: 2, minTimeout: 1 } }, 3],
  ['retry: true', { retry: true }, 4],
] as const)('the retry of %s makes as many attempts as it says', async ([, options, count], { cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  let runs = 0
  const transaction = withRetry(builderOf(kysely(pool)), options).execute(async (trx) => {
    runs++
    await sql`do $$ begin raise exception using errcode = '40001'; end $$`.execute(trx)
  })
  expect(await rejection(transaction)).toMatchObject({ name: 'error', code: '40001' })
  expect(runs).toBe(count)
  await expectHealthy(pool, cluster, direct.application_name)
})

describe('each attempt', () => {
  test("each attempt has the builder's isolation level and access mode", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const seen: unknown[] = []
    const builder = builderOf(kysely(pool)).setIsolationLevel('serializable').setAccessMode('read only')
    await withRetry(builder, AGAIN).execute(async (trx, { attempt }) => {
      seen.push([await setting(trx, 'transaction_isolation'), await setting(trx, 'transaction_read_only')])
      if (attempt === 1) await sql`do $$ begin raise exception using errcode = '40001'; end $$`.execute(trx)
    })
    expect(seen).toEqual(Array(2).fill(['serializable', 'on']))
  })

  test("each attempt has the builder's schema and plugins", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await cluster.withAdmin(async (admin) => {
      await admin.query('create schema shop authorization app; create table shop.big_order (order_id int)')
      await admin.query('grant all on shop.big_order to app')
    })
    const db = kysely(pool) as unknown as Kysely<{ bigOrder: { orderId: number } }>
    const transaction = db.withPlugin(new CamelCasePlugin()).withSchema('shop').transaction()
    const found = await withRetry(transaction, AGAIN).execute(async (trx, { attempt }) => {
      await trx.insertInto('bigOrder').values({ orderId: attempt }).execute()
      if (attempt === 1) await sql`do $$ begin raise exception using errcode = '40P01'; end $$`.execute(trx)
      return trx.selectFrom('bigOrder').select('orderId').execute()
    })
    expect(found).toEqual([{ orderId: 2 }])
  })
})

describe('withRetry refuses', () => {
  test('withRetry refuses anything but the builder of a transaction, at once', async ({ direct }) => {
    await using pool = holdfast(direct)
    const db = kysely(pool)
    for (const wrong of [db, db.startTransaction(), db.connection(), () => db.transaction(), undefined]) {
      const wrap = (): unknown => withRetry(wrong as never)
      expect(wrap).toThrow(OptionsError)
      expect(wrap).toThrow(/^`withRetry` takes what `db\.transaction\(\)` returns/)
    }
  })

  test('withRetry refuses a database on another pool, before its function runs', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const db = stockKysely(pool)
    let hasRun = false
    const transaction = withRetry(builderOf(db)).execute(() => {
      hasRun = true
    })
    expect(await rejection(transaction)).toBeInstanceOf(OptionsError)
    expect(hasRun).toBe(false)
    await builderOf(db).execute(() => Promise.resolve())
  })

  test("withRetry refuses a database with Kysely's own dialect", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
    expect(await rejection(withRetry(builderOf(db)).execute(() => {}))).toBeInstanceOf(OptionsError)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('withRetry refuses wrong options, and names all of them', async ({ direct }) => {
    await using pool = holdfast(direct)
    const options = { retries: 3, signal: 'now' } as never
    const error = await rejection(withRetry(builderOf(kysely(pool)), options).execute(() => {}))
    expect(error).toBeInstanceOf(OptionsError)
    expect(error.problems).toHaveLength(2)
  })

  test("withRetry refuses what isn't a function", async ({ direct }) => {
    await using pool = holdfast(direct)
    const execute = withRetry(builderOf(kysely(pool))).execute as (fn: unknown) => Promise<unknown>
    expect(await rejection(execute('select 1'))).toBeInstanceOf(TypeError)
  })
})
