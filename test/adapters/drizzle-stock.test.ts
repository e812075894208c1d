import { Pool } from '@holdfast/core'
import { eq, sql, TransactionRollbackError } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { describeContract } from './contract.ts'
import { drizzleOn, subject } from './subjects/drizzle-stock.ts'
import { expectCause } from './support/causes.ts'
import { expectHealthy, kill, written } from './support/health.ts'
import { backendPid, open } from './support/open.ts'

const entry = pgTable('entry', { id: text().primaryKey() })

describeContract(subject)

describe('stock Drizzle', () => {
  test('stock Drizzle rolls back only the savepoint of the nested transaction that fails, at any depth', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    await using database = await open(subject, { ...direct, max: 1 })
    await database.transaction(async (outer) => {
      await outer.insert('depth 1')
      await outer.savepoint(async (middle) => {
        await middle.insert('depth 2')
        await rejection(
          middle.savepoint(async (inner) => {
            await inner.insert('depth 3')
            await inner.run('select 1 / 0')
          }),
        )
      })
    })
    expect(await written(cluster, 'depth 1', 'depth 2', 'depth 3')).toEqual(['depth 1', 'depth 2'])
    await expectHealthy(database, { cluster, applicationName })
  })

  test('stock Drizzle rolls back by tx.rollback(), and keeps the connection', async ({ cluster, direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const db = drizzle({ client: pool })
    const transaction = db.transaction(async (tx) => {
      await tx.insert(entry).values({ id: 'taken back' })
      tx.rollback()
    })
    expect(await rejection(transaction)).toBeInstanceOf(TransactionRollbackError)
    expect(await written(cluster, 'taken back')).toEqual([])
    expect([pool.totalCount, pool.idleCount]).toEqual([1, 1])
  })

  test("stock Drizzle prepares a transaction's statement again on the next connection", async ({ cluster, direct }) => {
    await using pool = new Pool({ ...direct, max: 1, prePing: { idleMillis: 0 } })
    const db = drizzle({ client: pool })
    const find = (): Promise<unknown[]> =>
      db.transaction((tx) =>
        tx
          .select()
          .from(entry)
          .where(eq(entry.id, sql.placeholder('id')))
          .prepare('find_entry')
          .execute({ id: 'none' }),
      )
    expect(await find()).toEqual([])
    const { rows } = await db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    await kill(cluster, rows[0]?.pid as number)
    expect(await find()).toEqual([])
    expect(await find()).toEqual([])
  })

  test('stock Drizzle runs a transaction on one connection, since our class counts as a pool', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 5 })
    const database = drizzleOn(pool, async () => {})
    const pids = await database.transaction(async (tx) => [
      await backendPid(tx),
      await tx.savepoint((inner) => backendPid(inner)),
      await backendPid(tx),
    ])
    expect(new Set(pids).size).toBe(1)
  })

  test('stock Drizzle never releases the connection of a refused BEGIN: only an adapter can', async ({ direct }) => {
    const pool = new Pool({ ...direct, max: 2, closeTimeoutMillis: 1 })
    const db = drizzle({ client: pool })
    const transaction = db.transaction(async () => {}, { isolationLevel: 'nonsense' as 'serializable' })
    expectCause(await rejection(transaction), { code: '42601' })
    expect(pool.status()).toMatchObject({ leased: 1, idle: 0 })
    await settles(db.execute(sql`select 1`), 'the next statement')
    await pool.end()
  })
})
