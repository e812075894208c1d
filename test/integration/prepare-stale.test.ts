import { setTimeout as pause } from 'node:timers/promises'
import { isRetryable, Pool } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'

const CONNECTIONS = 5
const CALLERS = 10
const TIMES = 10
const TEXT = 'select id, n from item where id = $1'

/** A test with a table, `item`, that other sessions change. */
const test = base.extend('change', async ({ cluster }) => {
  const change = (sql: string): Promise<unknown> => cluster.withAdmin((admin) => admin.query(sql))
  await change("drop table if exists item; drop type if exists mood; create type mood as enum ('sad')")
  await change("create table item (id int, n int, mood mood default 'sad'); grant all on item to app")
  await change('insert into item (id, n) select n, n from generate_series(1, 100) n')
  return change
})

async function times(count: number, run: (time: number) => Promise<unknown>): Promise<void> {
  for (let time = 0; time < count; time++) await run(time)
}

/** Callers that send statements again and again while `change` runs. Returns their errors. */
async function errorsUnder(change: () => Promise<unknown>, run: (time: number) => Promise<unknown>): Promise<Error[]> {
  const errors: Error[] = []
  let goesOn = true
  const callers = Array.from({ length: CALLERS }, async () => {
    for (let time = 0; goesOn; time++) await run(time).catch((error: Error) => errors.push(error))
  })
  // Long enough for each statement to be prepared on each connection.
  await pause(300)
  await change()
  await pause(200)
  goesOn = false
  await Promise.all(callers)
  return errors
}

const MIGRATIONS: readonly (readonly [string, string[]])[] = [
  ['a column is added', ['alter table item add column more int default 7']],
  ['a column is dropped', ['alter table item add column more int', 'alter table item drop column more']],
  ['a column gets another type', ['alter table item alter column n type bigint']],
  [
    'a type is replaced',
    [
      `begin; alter table item alter column mood drop default, alter column mood type text;
       drop type mood; create type mood as enum ('sad', 'merry');
       alter table item alter column mood type mood using mood::mood, alter column mood set default 'sad'; commit`,
    ],
  ],
  [
    'the table is replaced',
    ['begin; drop table item; create table item (id int, n text, mood mood); grant all on item to app; commit'],
  ],
]

const STATEMENTS: readonly string[] = [
  'select * from item where id = $1',
  TEXT,
  'select id, mood from item where id = $1',
  'insert into item (id, n) values ($1 + 1000, null) returning *',
  'update item set n = n where id = $1',
]

describe('a migration under traffic', () => {
  test.for(MIGRATIONS)(
    'no statement of pool.query fails when %s by another session',
    async ([, texts], { direct, change }) => {
      await using pool = new Pool({ ...direct, max: CONNECTIONS })
      const run = (time: number): Promise<unknown> =>
        pool.query(STATEMENTS[time % STATEMENTS.length] as string, [time % 100])
      const errors = await errorsUnder(async () => {
        for (const text of texts) await change(text)
      }, run)
      expect(errors).toEqual([])
    },
  )

  test('no statement of a transaction fails for good', async ({ direct, change }) => {
    await change('alter table item owner to app')
    await using pool = new Pool({ ...direct, max: CONNECTIONS })
    const run = (time: number): Promise<unknown> =>
      pool.transaction(async (tx) => {
        for (const text of STATEMENTS) await tx.query(text, [time % 100])
      })
    const errors = await errorsUnder(() => pool.query('alter table item add column more int'), run)
    expect(errors).toEqual([])
  })

  test('a transaction fails once for the whole pool, retryable, and that text not again', async ({
    direct,
    change,
  }) => {
    await using pool = new Pool({ ...direct, max: 3 })
    const clients = await Promise.all(Array.from({ length: 3 }, () => pool.connect()))
    const inTransaction = async (client: pg.ClientBase): Promise<unknown> => {
      await client.query('begin')
      const error = await client.query(TEXT, [1]).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      await client.query('rollback')
      return error
    }
    for (let time = 0; time < 6; time++) for (const client of clients) await client.query(TEXT, [1])
    const errors: unknown[] = []
    for (const type of ['bigint', 'int', 'bigint']) {
      await change(`alter table item alter column n type ${type}`)
      for (const client of clients) errors.push(await inTransaction(client))
    }
    for (const client of clients) client.release()
    const told = errors.filter((error) => error !== undefined)
    expect(told).toMatchObject([{ code: '0A000' }])
    expect(told.map(isRetryable)).toEqual([true])
  })

  test('an INSERT that finds its table changed writes one row', async ({ cluster, direct, change }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const insert = 'insert into item (id, n) values ($1, $1) returning *'
    await times(TIMES, (n) => pool.query(insert, [1000 + n]))
    await change('alter table item add column more int')
    expect((await pool.query(insert, [2000])).rows).toMatchObject([{ id: 2000, more: null }])
    expect(await cluster.query('select id from item where id = 2000')).toHaveLength(1)
  })
})

/**
 * What works without prepared statements works with them: in a transaction nothing can be run again, so a statement whose
 * tables are other ones since it was prepared must not be sent under its name.
 */
describe('a literal that the server reads by the settings of the session', () => {
  const LITERAL = "select extract(epoch from timestamptz '2026-01-31 00:00')::int as epoch, $1::int as id"

  test('means what it means now, whatever the time zone was when it was prepared', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1, options: '-c TimeZone=UTC' })
    const client = await pool.connect()
    const epoch = async (): Promise<number> => (await client.query(LITERAL, [1])).rows[0].epoch
    await times(TIMES, epoch)
    const utc = await epoch()
    const ahead = utc - 9 * 3600
    await client.query("set time zone 'Asia/Tokyo'")
    expect([await epoch(), await epoch()]).toEqual([ahead, ahead])
    await client.query('begin')
    await client.query("set local time zone 'UTC'")
    expect(await epoch()).toBe(utc)
    await client.query('rollback')
    expect(await epoch()).toBe(ahead)
    await client.query('reset all')
    expect(await epoch()).toBe(utc)
    await client.query("select set_config('TimeZone', $1, false)", ['Asia/Tokyo'])
    expect(await epoch()).toBe(ahead)
    client.release()
  })

  test("'today' is never prepared", async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    await times(TIMES, (id) => pool.query("select 'today'::date, $1::int", [id]))
    expect((await pool.query('select name from pg_prepared_statements')).rows).toEqual([])
  })
})

describe('in a transaction that sees other tables', () => {
  const WAYS: Record<string, string> = {
    'set local search_path': 'set local search_path = other',
    'set search_path': 'set search_path = other',
    'set local schema': "set local schema 'other'",
    set_config: "select set_config('search_path', 'other', true)",
    'a temporary table': 'create temp table item (id int, n text) on commit drop',
    'a change of its own': 'alter table item alter column n type bigint',
    'a function of the application': 'select look_elsewhere()',
  }

  test.for(Object.entries(WAYS))('no statement fails: by %s', async ([, sql], { direct, change }) => {
    await change('alter table item owner to app; drop schema if exists other cascade; create schema other')
    await change(
      'create table other.item (id int, n text); grant usage on schema other to app; grant all on other.item to app',
    )
    await change(`create or replace function look_elsewhere() returns text language sql
      as $$ select set_config('search' || '_path', 'other', true) $$`)
    await using pool = new Pool({ ...direct, max: 1 })
    const client = await pool.connect()
    const query = (): Promise<unknown> => client.query(TEXT, [1])
    await times(TIMES, query)
    for (let time = 0; time < 3; time++) {
      for (const end of ['rollback', 'commit']) {
        await client.query('begin')
        await query()
        await client.query('savepoint here')
        await client.query(sql)
        await times(2, query)
        await client.query('rollback to savepoint here')
        await times(2, query)
        await client.query(sql)
        await times(2, query)
        await client.query(end)
        await client.query('begin')
        await times(2, query)
        await client.query('commit')
        await client.query('reset search_path')
        await client.query('begin')
        await times(2, query)
        await client.query('commit')
      }
      await change('alter table item alter column n type int')
      await query()
    }
    client.release()
  })

  test('no statement fails when each transaction has a search path by a parameter', async ({ direct, change }) => {
    await change('drop schema if exists other cascade; create schema other; grant usage on schema other to app')
    await change('create table other.item (id int, n text); grant all on other.item to app')
    await using pool = new Pool({ ...direct, max: 2 })
    await times(40, (time) =>
      pool.transaction(
        async (tx) => {
          await tx.query("select set_config('search_path', $1, true)", [time % 2 ? 'other' : 'public'])
          await tx.query(TEXT, [1])
        },
        { retry: false },
      ),
    )
  })
})
