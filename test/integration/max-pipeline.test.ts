import { Pool, type PoolOptions } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

/** Tests with two tables of a hundred rows, one of which a test may lock. */
const test = base.extend('change', async ({ cluster }) => {
  const change = (sql: string): Promise<unknown> => cluster.withAdmin((admin) => admin.query(sql))
  await change('drop table if exists item, other, note; create table note (id serial primary key, n int)')
  for (const table of ['item', 'other'])
    await change(`create table ${table} as select n as id, n * 10 as n from generate_series(1, 100) n`)
  await change('grant all on item, other, note to app; grant all on sequence note_id_seq to app')
  return change
})

const ITEM = 'select id, n from item where id = $1'
const OTHER = 'select id, n from other where id = $1'

/** A pool that knows both texts. */
async function sharingPool(options: PoolOptions): Promise<Pool> {
  const pool = new Pool({ max: 1, maxPipeline: 8, ...options })
  for (let time = 0; time < 10; time++) for (const text of [ITEM, OTHER]) await pool.query(text, [1])
  return pool
}

async function read(pool: Pool, id: number, text = ITEM): Promise<void> {
  expect((await pool.query(text, [id])).rows).toEqual([{ id, n: id * 10 }])
}

/** How many leases there were meanwhile. */
async function leasesDuring(pool: Pool, run: () => Promise<unknown>): Promise<number> {
  const uses = (): number => pool.inspect().reduce((sum, each) => sum + each.uses, 0)
  const before = uses()
  await run()
  return uses() - before
}

function many(count: number, run: (number: number) => Promise<unknown>): Promise<unknown[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => run(index + 1)))
}

/** Holds a lock on a table in a transaction of another session. */
async function lockedBy(client: pg.ClientBase, table: string): Promise<void> {
  await client.query('begin')
  await client.query(`lock table ${table} in access exclusive mode`)
}

describe.for([false, 'auto'] as const)('with prepare: %s', (prepare) => {
  test('reads share connections, and each caller has its own rows', async ({ direct, change }) => {
    await change('select 1')
    await using pool = await sharingPool({ ...direct, prepare, max: 2 })
    const leases = await leasesDuring(pool, () => many(100, (id) => read(pool, id, id % 2 ? ITEM : OTHER)))
    expect(leases).toBeLessThan(50)
    // A read that ran on another connection as well may still be in flight there.
    await until(() => pool.status().idle === 2)
  })

  test('writes, transactions and BEGIN do not share, among many reads', async ({ direct, change }) => {
    await change('select 1')
    await using pool = await sharingPool({ ...direct, prepare, max: 3 })
    await many(300, async (number) => {
      const id = (number % 100) + 1
      if (number % 10 === 0) await pool.query('insert into note (n) values ($1)', [number])
      else if (number % 10 === 1)
        await pool.transaction(async (tx) => {
          await tx.query('insert into note (n) values ($1)', [number])
          const { rows } = await tx.query('select count(*)::int as n from note where n = $1', [number])
          expect(rows).toEqual([{ n: 1 }])
        })
      else if (number === 55) await pool.query('begin')
      else await read(pool, id)
    })
    expect((await pool.query('select count(*)::int as n from note')).rows).toEqual([{ n: 60 }])
  })

  test('a table that changes meanwhile costs no reader an error', async ({ direct, change }) => {
    await change('select 1')
    await using pool = await sharingPool({ ...direct, prepare, max: 2 })
    const text = 'select * from item where id = $1'
    let isOver = false
    const readOn = async (id: number): Promise<void> => {
      while (!isOver) expect((await pool.query(text, [id])).rows[0]).toMatchObject({ id })
    }
    const readers = many(20, readOn)
    for (let number = 0; number < 5; number++) {
      await change(`alter table item add column c${number} int`)
      await change(`alter table item alter column c${number} type text`)
    }
    isOver = true
    await settles(readers, 'the readers')
  })
})

test('a client of connect() is leased although reads never end', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await sharingPool({ ...direct, max: 2 })
  let isOver = false
  const readers = many(40, async (id) => {
    while (!isOver) await read(pool, id)
  })
  for (let time = 0; time < 20; time++) {
    const client = await settles(pool.connect(), 'connect()')
    await client.query('select 1')
    client.release()
  }
  isOver = true
  await readers
})

test('a read that waits for a lock keeps no other waiting', async ({ direct, change, cluster }) => {
  await change('select 1')
  await using pool = await sharingPool({ ...direct, max: 2 })
  await cluster.withAdmin(async (admin) => {
    const other = await pool.connect()
    await lockedBy(admin, 'item')
    const locked = read(pool, 1)
    const behind = many(5, (id) => read(pool, id, OTHER))
    other.release()
    await settles(behind, 'the reads behind the one that waits')
    await admin.query('commit')
    await settles(locked, 'the read that waited')
  })
})

test('a transaction may wait for a read behind one that waits for that transaction', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await sharingPool({ ...direct, max: 3 })
  const holder = await pool.connect()
  const idle = await pool.connect()
  await lockedBy(holder, 'item')
  const locked = read(pool, 1)
  const behind = read(pool, 2, OTHER)
  idle.release()
  await settles(behind, 'the read for which the transaction waits')
  await holder.query('commit')
  holder.release()
  await settles(locked, 'the read that waited')
})

test('many cancelled statements cancel no read of another caller', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await sharingPool({ ...direct, max: 3 })
  await many(200, async (number) => {
    if (number % 4 > 0) return await read(pool, (number % 100) + 1)
    const giveUp = new AbortController()
    const slow = pool.query({ text: 'select pg_sleep(1)', signal: giveUp.signal } as pg.QueryConfig)
    setTimeout(() => giveUp.abort(new Error('given up')), number % 7)
    await expect(slow).rejects.toThrow('given up')
  })
  await until(() => pool.status().leased === 0)
})

test('a text whose Parse fails tells each caller so', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await sharingPool({ ...direct, prepare: 'auto' })
  await change('alter table item rename to gone')
  const errors = await many(10, (id) => pool.query(ITEM, [id]).catch((error: { code: string }) => error.code))
  expect(errors).toEqual(Array(10).fill('42P01'))
  await change('alter table gone rename to item')
  await read(pool, 1)
})
