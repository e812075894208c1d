import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { OptionsError, Pool, withPoolOptions } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { HoldfastDialect } from '@holdfast/kysely'
import { holdfast as holdfastTypeorm } from '@holdfast/typeorm'
import { eq } from 'drizzle-orm'
import { drizzle as stockDrizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { DataSource } from 'typeorm'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'

const TEXT = 'select id, n from item where id = $1'
const TIMES = 10

/** A test with a table, `item`, that other sessions change. */
const test = base.extend('change', async ({ cluster }) => {
  const change = (sql: string): Promise<unknown> => cluster.withAdmin((admin) => admin.query(sql))
  await change('drop table if exists item; create table item (id int primary key, n int); grant all on item to app')
  await change('insert into item select n, n from generate_series(1, 100) n')
  return change
})

/** The statements of the application that a session has prepared: all but the probe for the id of a transaction. */
const PREPARED = "select name, statement from pg_prepared_statements where name <> 'holdfast_xid' order by statement"

async function preparedOf(client: pg.Pool | pg.ClientBase): Promise<{ name: string; statement: string }[]> {
  return (await (client as pg.Pool).query(PREPARED)).rows
}

async function textsOf(client: pg.Pool | pg.ClientBase): Promise<string[]> {
  return (await preparedOf(client)).map(({ statement }) => statement)
}

async function times(count: number, run: (time: number) => Promise<unknown>): Promise<void> {
  for (let time = 0; time < count; time++) await run(time)
}

describe('which statements are prepared', () => {
  test('one with values that was sent often, under a name that is made from its text', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    await times(4, (id) => pool.query(TEXT, [id]))
    expect(await preparedOf(pool)).toEqual([])
    await pool.query(TEXT, [5])
    expect(await preparedOf(pool)).toEqual([{ name: 'hf_ca193843e335bba34fcfe5e6f539d0762a849015', statement: TEXT }])
    expect((await pool.query(TEXT, [7])).rows).toEqual([{ id: 7, n: 7 }])
  })

  test('without the watch too: then the server is asked whether it serves the session itself', async ({
    direct,
    change,
  }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1, watch: false })
    await times(4, (id) => pool.query(TEXT, [id]))
    expect(await preparedOf(pool)).toEqual([])
    await pool.query(TEXT, [5])
    expect(await textsOf(pool)).toEqual([TEXT])
  })

  test('it is counted for the pool, and prepared once on each connection', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 3 })
    await times(6, (id) => pool.query(TEXT, [id]))
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
    for (const client of clients) {
      await times(3, (id) => client.query(TEXT, [id]))
      const { rows } = await client.query(
        'select count(*)::int, sum(custom_plans + generic_plans)::int as runs from pg_prepared_statements',
      )
      expect(rows[0]).toMatchObject({ count: 1 })
      expect(rows[0].runs).toBeGreaterThan(1)
      client.release()
    }
  })

  test('none without values, none of the application, none that excludes itself, and nothing that is not planned', async ({
    direct,
    change,
  }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    await times(TIMES, async (id) => {
      await pool.query('select 1')
      await pool.query({ text: 'select 2', values: [] })
      await pool.query({ name: 'mine', text: 'select $1::int', values: [id] })
      await pool.query({ text: 'select $1::int as config', values: [id], prepare: false })
      await pool.query({ text: 'select $1::int as argument' }, [id], { prepare: false })
      await pool.query({ text: 'select $1::int as both', prepare: false }, [id])
      await pool.query('explain select $1::int', [id])
      await pool.query(`select $1::int /* ${'x'.repeat(10_000)} */`, [id])
      await pool.query({ text: 'select $1::int as portions', values: [id], rows: 1 } as pg.QueryConfig)
    })
    expect(await preparedOf(pool)).toEqual([{ name: 'mine', statement: 'select $1::int' }])
  })

  test('in every form of pg, with the results that it has otherwise', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1, prepare: { threshold: 1 } })
    await using plain = new Pool({ ...direct, max: 1, prepare: false })
    const forms: Record<string, (pool: Pool) => Promise<unknown>> = {
      text: async (each) => each.query(TEXT, [1]),
      config: async (each) => each.query({ text: TEXT, values: [1] }),
      array: async (each) => each.query({ text: TEXT, values: [1], rowMode: 'array' }),
      types: async (each) => each.query({ text: TEXT, values: [1], types: { getTypeParser: () => String } as never }),
      callback: (each) => new Promise((resolve) => each.query(TEXT, [1], (_, result) => resolve(result))),
      none: async (each) => each.query(TEXT, [-1]),
      write: async (each) => each.query('update item set n = n where id = $1', [1]),
      array_values: async (each) => each.query('select id from item where id = any($1::int[]) order by id', [[3, 2]]),
      Query: async (each) => {
        const client = await each.connect()
        const query = new pg.Query<{ id: number }>({ text: TEXT, values: [1] } as never)
        const rows: unknown[] = []
        query.on('row', (row) => rows.push(row))
        client.query(query)
        await new Promise((resolve) => query.once('end', resolve))
        client.release()
        return { rows }
      },
    }
    for (const [form, run] of Object.entries(forms))
      for (let time = 0; time < 3; time++) {
        const [prepared, otherwise] = [await run(pool), await run(plain)] as pg.QueryResult[]
        const facts = (result: pg.QueryResult | undefined): unknown => [
          result?.rows,
          result?.rowCount,
          result?.command,
          result?.fields?.map(({ name, dataTypeID }) => [name, dataTypeID]),
        ]
        expect([form, facts(prepared)]).toEqual([form, facts(otherwise)])
      }
    expect(await textsOf(pool)).toHaveLength(3)
    expect(await textsOf(plain)).toEqual([])
  })

  test("none by 'false', all by 'true', and those that were sent twice by a threshold", async ({ direct, change }) => {
    await change('select 1')
    const after = async (prepare: false | true | { threshold: number }, count: number): Promise<number> => {
      await using pool = new Pool({ ...direct, max: 1, prepare })
      await times(count, (id) => pool.query(TEXT, [id]))
      return (await preparedOf(pool)).length
    }
    expect([await after(false, TIMES), await after(true, 5), await after({ threshold: 2 }, 3)]).toEqual([0, 1, 1])
  })

  test.for(['sometimes', 1, { threshold: 0 }, { max: 1.5 }, { treshold: 3 }])('refuses prepare: %j', (prepare) => {
    expect(() => new Pool({ prepare } as never)).toThrow(OptionsError)
  })

  test("none where each lease's end would drop it", async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1, resetOnReturn: 'discard' })
    const client = await pool.connect()
    await times(TIMES, (id) => client.query(TEXT, [id]))
    expect(await preparedOf(client)).toEqual([])
    client.release()
  })

  test('none with `select *` in a transaction, where a new column would make it fail', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    const all = ['select * from item where id = $1', 'update item set n = 1 where id = $1 returning *']
    const some = ['select count(*) from item where id = $1', 'select id /* all */ from item where id = $1']
    await times(TIMES, (id) =>
      pool.transaction(async (tx) => {
        for (const text of [...all, ...some]) await tx.query(text, [id])
      }),
    )
    expect(await textsOf(pool)).toEqual(some.toSorted())
    await times(2, (id) => pool.query(all[0] as string, [id]))
    expect(await textsOf(pool)).toContain(all[0])
  })
})

describe('ORMs', () => {
  const item = pgTable('item', { id: integer(), n: integer() })

  interface Orm extends AsyncDisposable {
    one(id: number): Promise<unknown>
    transact(id: number): Promise<unknown>
    pool: pg.Pool
  }

  const orms: Record<string, (pool: Pool) => Promise<Orm>> = {
    '@holdfast/drizzle': async (client) => {
      const db = drizzle({ client })
      const one = async (id: number): Promise<unknown> => db.select().from(item).where(eq(item.id, id))
      const transact = (id: number): Promise<unknown> =>
        db.transaction(async (tx) => tx.update(item).set({ n: id }).where(eq(item.id, id)))
      return { one, transact, pool: client, [Symbol.asyncDispose]: () => client.end() }
    },
    'unmodified Drizzle': async (client) => {
      const db = stockDrizzle({ client })
      const one = async (id: number): Promise<unknown> => db.select().from(item).where(eq(item.id, id))
      const transact = (id: number): Promise<unknown> =>
        db.transaction(async (tx) => tx.update(item).set({ n: id }).where(eq(item.id, id)))
      return { one, transact, pool: client, [Symbol.asyncDispose]: () => client.end() }
    },
    '@holdfast/kysely': async (pool) => kyselyOrm(new Kysely({ dialect: new HoldfastDialect({ pool }) }), pool),
    'unmodified Kysely': async (pool) => kyselyOrm(new Kysely({ dialect: new PostgresDialect({ pool }) }), pool),
  }

  function kyselyOrm(db: Kysely<{ item: { id: number; n: number } }>, pool: Pool): Orm {
    return {
      one: (id) => db.selectFrom('item').select(['id', 'n']).where('id', '=', id).execute(),
      transact: (id) =>
        db.transaction().execute((trx) => trx.updateTable('item').set({ n: id }).where('id', '=', id).execute()),
      pool,
      [Symbol.asyncDispose]: () => db.destroy(),
    }
  }

  test.for(Object.keys(orms))('%s: statements are prepared, in transactions too', async (name, { direct, change }) => {
    await change('select 1')
    await using orm = (await orms[name]?.(new Pool({ ...direct, max: 1 }))) as Orm
    await times(TIMES, async (id) => {
      await orm.one(id)
      await orm.transact(id)
    })
    expect(await textsOf(orm.pool)).toEqual([expect.stringMatching(/^select/), expect.stringMatching(/^update/)])
  })

  test('@holdfast/typeorm: statements are prepared, in transactions too', async ({ direct, change }) => {
    await change('select 1')
    const { host, port, user: username, password, database, ssl } = direct
    const address = { host, port, username, password, database, ssl }
    const source = new DataSource(holdfastTypeorm({ type: 'postgres', ...address, holdfast: { max: 1 } } as never))
    await source.initialize()
    await times(TIMES, async (id) => {
      await source.query(TEXT, [id])
      await source.transaction((manager) => manager.query('update item set n = $1 where id = $1', [id]))
    })
    const rows = await source.query(PREPARED)
    expect(rows).toMatchObject([{ statement: TEXT }, { statement: 'update item set n = $1 where id = $1' }])
    await source.destroy()
  })
})

describe('how many statements are prepared', () => {
  test('none of 2,000 unique texts', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 4 })
    let last = 0
    const caller = async (): Promise<void> => {
      while (last < 2000) await pool.query(`select $1::int as n${last++}`, [1])
    }
    await Promise.all(Array.from({ length: 16 }, caller))
    const clients = await Promise.all(Array.from({ length: 4 }, () => pool.connect()))
    for (const client of clients) {
      expect(await preparedOf(client)).toEqual([])
      client.release()
    }
  })

  test('none of a text whose comment differs each time; one whose comment stays', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    await times(50, async (id) => {
      await pool.query(`${TEXT} /*traceparent='00-${id}-01'*/`, [id])
      await pool.query(`${TEXT} /*route='/items'*/`, [id])
    })
    expect(await textsOf(pool)).toEqual([`${TEXT} /*route='/items'*/`])
  })

  test('with more frequent texts than `max`, those that are prepared stay', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1, prepare: { threshold: 2, max: 100 } })
    const all = (): Promise<void> => times(150, (n) => pool.query(`select $1::int as n${n}`, [n]))
    await times(3, all)
    const preparedAt = async (): Promise<unknown[]> =>
      (await pool.query('select name, prepare_time::text from pg_prepared_statements order by name')).rows
    const before = await preparedAt()
    await times(5, all)
    expect(before).toHaveLength(100)
    expect(await preparedAt()).toEqual(before)
  })
})

describe('a statement that fails', () => {
  test('a text that the server refuses, ten at once: ten errors of its own, and no name', async ({
    direct,
    change,
  }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 3 })
    const codes: unknown[] = []
    for (let time = 0; time < 5; time++) {
      const errors = await Promise.all(
        Array.from({ length: 10 }, () => rejection(pool.query('select nothing from item where id = $1', [1]))),
      )
      codes.push(...errors.map(({ code }) => code))
    }
    expect(codes).toEqual(Array.from({ length: 50 }, () => '42703'))
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
    for (const client of clients) {
      expect(await preparedOf(client)).toEqual([])
      client.release()
    }
  })

  test('a value that is wrong, a row that is there: the error that it has otherwise', async ({ direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    const insert = 'insert into item values ($1, $2)'
    await times(TIMES, (n) => pool.query(insert, [1000 + n, n]))
    expect(await rejection(pool.query(insert, [1000, 1]))).toMatchObject({ code: '23505' })
    expect(await rejection(pool.query(insert, ['x', 1]))).toMatchObject({ code: '22P02' })
    expect(await rejection(pool.query(insert, [1]))).toMatchObject({ code: '08P01' })
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(await rejection(pool.query(insert, [1, circular]))).toBeInstanceOf(TypeError)
    await times(3, (n) => pool.query(insert, [2000 + n, n]))
    expect((await pool.query('select count(*)::int from item where id >= 1000')).rows).toEqual([{ count: TIMES + 3 }])
  })
})

test('two pools have the same text under the same name, each with tables of its own', async ({ direct, change }) => {
  await change('drop schema if exists other cascade; create schema other; grant usage on schema other to app')
  await change(
    "create table other.item (id int, n text); grant all on other.item to app; insert into other.item values (1, 'other')",
  )
  await using one = new Pool({ ...direct, max: 1 })
  await using other = new Pool({ ...direct, max: 1, options: '-c search_path=other' })
  await times(TIMES, async () => {
    expect((await one.query(TEXT, [1])).rows).toEqual([{ id: 1, n: 1 }])
    expect((await other.query(TEXT, [1])).rows).toEqual([{ id: 1, n: 'other' }])
  })
  expect(await preparedOf(one)).toEqual(await preparedOf(other))
})

test('names that are lost twice within a minute: nothing is prepared any more, and the pool says so once', async ({
  direct,
  change,
}) => {
  await change('select 1')
  const events: unknown[] = []
  const listen = (message: unknown): void => void events.push(message)
  subscribe('holdfast:prepare-stopped', listen)
  const lines: string[] = []
  const note = (line: string): void => void lines.push(line)
  const logger = { debug: () => {}, info: note, warn: note, error: note }
  await using pool = new Pool({ ...direct, max: 1, logger, name: 'losing' })
  for (let time = 0; time < 4; time++) {
    await times(TIMES, (id) => pool.query(TEXT, [id]))
    await pool.query("do $$ begin execute 'deallocate all'; end $$")
  }
  await times(TIMES, (id) => pool.query(TEXT, [id]))
  unsubscribe('holdfast:prepare-stopped', listen)
  expect(await preparedOf(pool)).toEqual([])
  expect(events).toMatchObject([{ reason: 'names-lost', text: undefined, pool: { name: 'losing' } }])
  expect(lines.filter((line) => line.includes('HOLDFAST_PREPARE_STOPPED'))).toHaveLength(1)
})

test.for(['discard all', 'deallocate all'])(
  'after %s by hand no statement fails, and all are prepared again',
  async (sql, { direct, change }) => {
    await change('select 1')
    await using pool = new Pool({ ...direct, max: 1 })
    await times(TIMES, (id) => pool.query(TEXT, [id]))
    await pool.query(sql)
    expect(await preparedOf(pool)).toEqual([])
    await pool.transaction((tx) => tx.query(TEXT, [1]), { retry: false })
    expect(await textsOf(pool)).toEqual([TEXT])
  },
)

test("after a lease with resetOnReturn: 'discard' no statement fails", async ({ direct, change }) => {
  await change('select 1')
  await using pool = new Pool({ ...direct, max: 1 })
  await times(TIMES, (id) => pool.query(TEXT, [id]))
  await withPoolOptions({ resetOnReturn: 'discard' }, () => times(TIMES, (id) => pool.query(TEXT, [id])))
  await pool.transaction((tx) => tx.query(TEXT, [1]), { retry: false })
  expect(await textsOf(pool)).toEqual([TEXT])
})
