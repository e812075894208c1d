import { isRetryable, Pool, TransactionRolledBackError } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'

const INSERT = 'insert into entry (n) values (1)'
/** A function of the application that drops prepared statements: no command tag shows it. */
const DROP_UNSEEN = "do $$ begin execute 'deallocate all'; end $$"

const test = base.extend('rows', async ({ cluster }) => {
  await cluster.withAdmin((admin) =>
    admin.query('drop table if exists entry; create table entry (n int); grant all on entry to app'),
  )
  return async (): Promise<number> => (await cluster.query<{ n: number }>('select n from entry')).length
})

/** How many times the session's prepared probe has run; undefined if it has none. */
async function runsOfProbe(pool: Pool): Promise<number | undefined> {
  const { rows } = await pool.query(
    "select (generic_plans + custom_plans)::int as runs from pg_prepared_statements where statement like '%xact_id%'",
  )
  return rows[0]?.runs
}

async function byHand(pool: Pool, use: (client: pg.PoolClient) => Promise<unknown>): Promise<unknown> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query(INSERT)
  const result = await use(client)
  await client.query('rollback')
  client.release()
  return result
}

describe('the probe for the id of a transaction', () => {
  test('it is prepared once for each connection', async ({ direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    for (let time = 0; time < 3; time++) await pool.transaction((tx) => tx.query('select 1'))
    expect(await runsOfProbe(pool)).toBe(3)
    await pool.query('discard all')
    await pool.transaction((tx) => tx.query('select 1'))
    expect(await runsOfProbe(pool)).toBe(1)
  })

  test.for([{ prepare: false }, { resetOnReturn: 'discard' }] as const)(
    'it is not prepared with %j',
    async (options, { direct }) => {
      await using pool = new Pool({ ...direct, max: 1, ...options })
      const client = await pool.connect()
      await client.query('begin')
      await client.query('select 1')
      await client.query('commit')
      const { rows } = await client.query('select name from pg_prepared_statements')
      client.release()
      expect(rows).toEqual([])
    },
  )

  test('where prepared statements vanish unseen, a transaction runs again, once for the pool, and writes once', async ({
    direct,
    rows,
  }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const attempts: number[] = []
    const transact = (): Promise<unknown> =>
      pool.transaction(async (tx) => {
        attempts.push(tx.attempt)
        await tx.query(INSERT)
        await tx.query(INSERT)
      })
    await transact()
    for (let time = 0; time < 3; time++) {
      await pool.query(DROP_UNSEEN)
      await transact()
    }
    expect(attempts).toEqual([1, 1, 2, 1, 1])
    expect(await rows()).toBe(8)
  })

  test.for(['select 1', 'commit'])(
    'where prepared statements vanish unseen, the error of a transaction by hand is retryable and says why: at %s',
    async (next, { direct, rows }) => {
      await using pool = new Pool({ ...direct, max: 1 })
      await byHand(pool, async () => {})
      await pool.query(DROP_UNSEEN)
      const error = await byHand(pool, (client) => rejection(client.query(next)))
      expect(error).toMatchObject({ cause: { code: '26000' } })
      if (next === 'commit') expect(error).toBeInstanceOf(TransactionRolledBackError)
      expect(isRetryable(error)).toBe(true)
      await byHand(pool, async (client) => client.query('select 1'))
      expect(await rows()).toBe(0)
    },
  )
})
