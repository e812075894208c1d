import { PoolTimeoutError } from '@holdfast/core'
import { CompiledQuery, sql } from 'kysely'
import { expect, onTestFinished, vi } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { holdfast } from '../../faults/support/pools.ts'
import { rejection } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { entries, kysely } from './support/kysely.ts'

test('a plain read of the query builder leases no connection of its own, if reads share connections', async ({
  direct,
}) => {
  await using pool = holdfast({ ...direct, max: 1, maxPipeline: 8 })
  const db = kysely(pool)
  for (let time = 0; time < 6; time++) await entries(db, 'late')
  const before = pool.inspect()[0]?.uses ?? 0
  await Promise.all(Array.from({ length: 8 }, () => entries(db, 'late')))
  expect((pool.inspect()[0]?.uses ?? 0) - before).toBeLessThan(8)
})

test('a write, a transaction and what follows a read have a connection of their own', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 2, maxPipeline: 8 })
  const db = kysely(pool)
  await db.insertInto('entry').values({ id: 'late-1' }).execute()
  await db.transaction().execute(async (trx) => {
    expect(await entries(trx, 'late-')).toEqual(['late-1'])
    await trx.insertInto('entry').values({ id: 'late-2' }).execute()
  })
  await db.connection().execute(async (one) => {
    await entries(one, 'late-')
    await sql`set application_name = 'of this session'`.execute(one)
    const { rows } = await sql<{ name: string }>`select current_setting('application_name') as name`.execute(one)
    expect(rows).toEqual([{ name: 'of this session' }])
  })
  expect(await entries(db, 'late-')).toEqual(['late-1', 'late-2'])
  await db.deleteFrom('entry').where('id', 'like', 'late-%').execute()
  expect(pool.status()).toMatchObject({ leased: 0 })
})

test('a transaction is rolled back, and its connection is released, also when ROLLBACK fails', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1, maxPipeline: 8 })
  const db = kysely(pool)
  const failed = db.transaction().execute(async (trx) => {
    await trx.insertInto('entry').values({ id: 'late-3' }).execute()
    throw new Error('no')
  })
  expect((await rejection(failed)).message).toBe('no')
  expect(await entries(db, 'late-3')).toEqual([])
  const killed = db.transaction().execute(async (trx) => {
    await trx.executeQuery(CompiledQuery.raw('select pg_terminate_backend(pg_backend_pid())'))
  })
  await rejection(killed)
  expect(await entries(db, 'late-3')).toEqual([])
  expect(pool.status()).toMatchObject({ leased: 0 })
})

test('a stream has a connection of its own', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1, maxPipeline: 8 })
  const ids: number[] = []
  const db = kysely(pool)
  for await (const { id } of db
    .selectFrom(sql<{ id: number }>`generate_series(1, 5)`.as<'n'>(sql`n(id)`))
    .select('n.id')
    .stream(2))
    ids.push(id)
  expect(ids).toEqual([1, 2, 3, 4, 5])
})

test('a query that was given up while it waited for a connection keeps none', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1, maxPipeline: 8 })
  const db = kysely(pool)
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const holder = await pool.connect()
  const controller = new AbortController()
  const { signal } = controller
  const given = rejection(
    db.connection().execute((one) => sql`insert into entry (id) values ('late-4')`.execute(one, { signal })),
  )
  await until(() => pool.waitingCount === 1)
  controller.abort(new Error('given up'))
  expect((await given).message).toBe('given up')
  holder.release()
  await until(() => pool.waitingCount === 0 && pool.status().idle === 1)
  expect(await entries(db, 'late-4')).toEqual([])
})

test('a statement that got no connection does not keep the next one from getting one', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1, maxPipeline: 8, connectionTimeoutMillis: 500 })
  const db = kysely(pool)
  await db.connection().execute(async (one) => {
    const holder = await pool.connect()
    expect(await rejection(sql`set application_name = 'late'`.execute(one))).toBeInstanceOf(PoolTimeoutError)
    holder.release()
    await sql`set application_name = 'late'`.execute(one)
  })
  expect(pool.status()).toMatchObject({ leased: 0 })
})
