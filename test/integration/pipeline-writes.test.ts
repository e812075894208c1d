import diagnostics_channel from 'node:diagnostics_channel'
import { Pool, type PoolOptions } from '@holdfast/core'
import { expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { settles } from '../faults/support/settling.ts'

/** Tests with an account of a hundred rows, and a table for notes. */
const test = base.extend('change', async ({ cluster }) => {
  const change = (sql: string): Promise<unknown> => cluster.withAdmin((admin) => admin.query(sql))
  await change('drop table if exists account, note; create table note (id text primary key)')
  await change('create table account as select n as id, 0 as n from generate_series(1, 100) n')
  await change('grant all on account, note to app')
  return change
})

const NOTE = 'insert into note (id) values ($1)'
const ACCOUNT = 'update account set n = n + 1 where id = $1'
const READ = 'select n from account where id = $1'

/** A pool that knows the texts. */
async function writingPool(options: PoolOptions): Promise<Pool> {
  const pool = new Pool({ max: 1, maxPipeline: 8, pipelineWrites: true, ...options })
  for (let time = 0; time < 10; time++) {
    await pool.query(NOTE, [`known ${time}`])
    await pool.query(ACCOUNT, [100])
    await pool.query(READ, [100])
  }
  return pool
}

async function count(pool: Pool, like: string): Promise<number> {
  const { rows } = await pool.query('select count(*)::int as n from note where id like $1', [like])
  return rows[0].n
}

function many<Result>(times: number, run: (number: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => run(index)))
}

/** How many statements were sent behind others meanwhile. */
async function sharedDuring(pool: Pool, run: () => Promise<unknown>): Promise<number> {
  const { multiplexed } = pool.stats().statements
  await run()
  return pool.stats().statements.multiplexed - multiplexed
}

test('writes share connections, and each is written once', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await writingPool({ ...direct, max: 2 })
  const shared = await sharedDuring(pool, () => many(200, (number) => pool.query(NOTE, [`shared ${number}`])))
  expect(shared).toBeGreaterThan(50)
  expect(await count(pool, 'shared%')).toBe(200)
})

test('writes do not share connections unless the user wants that', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await writingPool({ ...direct, max: 2, pipelineWrites: false })
  expect(await sharedDuring(pool, () => many(50, (number) => pool.query(NOTE, [`alone ${number}`])))).toBe(0)
})

test('a write that fails concerns no other one behind it or in front of it', async ({ direct, change }) => {
  await change(`insert into note values ('taken')`)
  await using pool = await writingPool(direct)
  const results = await many(20, (number) =>
    pool.query(NOTE, [number % 5 === 4 ? 'taken' : `good ${number}`]).then(
      () => 'written',
      (error: { code: string }) => error.code,
    ),
  )
  expect(results).toEqual(Array.from({ length: 20 }, (_, number) => (number % 5 === 4 ? '23505' : 'written')))
  expect(await count(pool, 'good%')).toBe(16)
})

test('transactions, several statements in a text, and writes with a signal have a connection of their own', async ({
  direct,
  change,
}) => {
  await change('select 1')
  await using pool = await writingPool({ ...direct, max: 2 })
  const shared = await sharedDuring(pool, () =>
    many(60, async (number) => {
      if (number % 3 === 0)
        await pool.query({ text: NOTE, values: [`own ${number}`], signal: AbortSignal.timeout(60_000) })
      else if (number % 3 === 1) await pool.query(`insert into note values ('own ${number}'); select 1`)
      else
        await pool.transaction(async (tx) => {
          await tx.query(NOTE, [`own ${number}`])
        })
    }),
  )
  expect(shared).toBe(0)
  expect(await count(pool, 'own%')).toBe(60)
})

test('a transaction may wait for a write behind one that waits for that transaction', async ({ direct, change }) => {
  await change('select 1')
  await using pool = await writingPool({ ...direct, max: 2 })
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query(ACCOUNT, [1])
  const locked = pool.query(ACCOUNT, [1])
  const behind = many(3, (number) => pool.query(NOTE, [`behind ${number}`]))
  await settles(behind, 'the writes for which the transaction waits')
  await holder.query('commit')
  holder.release()
  expect((await settles(locked, 'the write that waited')).rowCount).toBe(1)
  expect((await pool.query(READ, [1])).rows).toEqual([{ n: 2 }])
  expect(await count(pool, 'behind%')).toBe(3)
})

test('a read that waits for a lock makes way for a write behind it, and has its result', async ({
  direct,
  change,
  cluster,
}) => {
  await change('select 1')
  await using pool = await writingPool(direct)
  await cluster.withAdmin(async (admin) => {
    await admin.query('begin')
    await admin.query('lock table account in access exclusive mode')
    const locked = pool.query(READ, [1])
    await settles(pool.query(NOTE, ['behind a read']), 'the write behind it')
    await admin.query('commit')
    expect((await settles(locked, 'the read that waited')).rows).toEqual([{ n: 0 }])
  })
})

test('one that always takes long is never told to make way: no write follows it', async ({ direct, change }) => {
  await change('select 1')
  const SLOW = 'update account set n = n + 1 where id = $1 and (select count(*) from generate_series(1, 1000000)) > 0'
  await using pool = await writingPool({ ...direct, max: 2 })
  for (let time = 0; time < 8; time++) {
    const slow = many(2, (number) => pool.query(SLOW, [number]))
    await many(4, (number) => pool.query(NOTE, [`beside ${time} ${number}`]))
    await slow
  }
  expect(pool.stats().retries.statements).toBe(0)
})

test('a write that makes way is published as a statement that runs again', async ({ direct, change }) => {
  await change('select 1')
  const heard: unknown[] = []
  const hear = (message: unknown): number => heard.push(message)
  diagnostics_channel.subscribe('holdfast:statement-retried', hear)
  try {
    await using pool = await writingPool({ ...direct, max: 2 })
    const holder = await pool.connect()
    await holder.query('begin')
    await holder.query(ACCOUNT, [1])
    const locked = pool.query(ACCOUNT, [1])
    await settles(pool.query(NOTE, ['told']), 'the write behind it')
    await holder.query('rollback')
    holder.release()
    await settles(locked, 'the write that waited')
    expect(heard).toMatchObject([{ reason: 'gave-way', attempt: 2, error: { code: '57014' } }])
  } finally {
    diagnostics_channel.unsubscribe('holdfast:statement-retried', hear)
  }
})
