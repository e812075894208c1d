import { isRetryable, type Pool } from '@holdfast/core'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import type { Cluster } from '../support/index.ts'
import { test as base } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, countEvents, holdfast, StockPool, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const CONNECTIONS = 3
const TIMES = 30

/** A test with a table of its own, `item`, that other sessions change. */
const test = base.extend('change', async ({ cluster, applicationName }, { onCleanup }) => {
  const change = (sql: string): Promise<unknown> => cluster.withAdmin((admin) => admin.query(sql))
  await change('drop table if exists item; create table item (id int, n int); grant all on item to app')
  await change('insert into item values (1, 1)')
  onCleanup(async () => {
    await cluster.terminateBackends({ applicationName })
  })
  return change
})

const SELECT = { name: 'items', text: 'select * from item' }

/** Runs `config` on each connection of a pool, so that each of them knows it by its name. */
async function onEach(pool: pg.Pool, config: pg.QueryConfig): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.connect()))
  for (const client of clients) {
    await client.query(config)
    client.release()
  }
}

/** What becomes of `TIMES` statements, one after the other: the codes of their errors. */
async function codesOf(run: () => Promise<unknown>, times = TIMES): Promise<string[]> {
  const codes: string[] = []
  for (let time = 0; time < times; time++) {
    await settles(run(), 'the statement').catch((error: unknown) => codes.push((error as { code: string }).code))
  }
  return codes
}

describe('a table has got another column', () => {
  test('stock pg.Pool: a new column makes one statement fail on each connection', async ({ direct, change }) => {
    await using pool = new StockPool({ ...direct, max: CONNECTIONS })
    await onEach(pool, SELECT)
    await change('alter table item add column more int')
    expect(await codesOf(() => pool.query(SELECT))).toEqual(Array.from({ length: CONNECTIONS }, () => '0A000'))
  })

  const ways: Record<string, (pool: Pool) => Promise<pg.QueryResult>> = {
    'pool.query': (pool) => pool.query(SELECT),
    'pool.query with values': (pool) => pool.query({ name: 'one', text: 'select * from item where id = $1' }, [1]),
    'pool.query with a callback': (pool) =>
      new Promise((resolve, reject) =>
        pool.query(SELECT, (error, result) => (error ? reject(error) : resolve(result))),
      ),
    'client.query': (pool) => onClient(pool, (client) => client.query(SELECT)),
    'a pg.Query': (pool) =>
      onClient(
        pool,
        (client) =>
          new Promise((resolve, reject) => {
            const query = new pg.Query<{ id: number }>(SELECT as never)
            const rows: unknown[] = []
            query.on('row', (row) => rows.push(row))
            query.on('end', () => resolve({ rows } as unknown as pg.QueryResult))
            query.on('error', reject)
            client.query(query)
          }),
      ),
    'a name without its text': (pool) => onClient(pool, (client) => client.query({ name: 'items' } as pg.QueryConfig)),
    'rows in portions': (pool) => pool.query({ ...SELECT, name: 'portions', rows: 1 } as pg.QueryConfig),
  }

  test.for(Object.entries(ways))(
    'Holdfast: a new column makes no statement fail, by %s',
    async ([, run], { cluster, direct, change }) => {
      await using pool = holdfast({ ...direct, max: CONNECTIONS })
      const opened = countEvents(pool, 'connect')
      for (const config of [
        SELECT,
        { name: 'one', text: 'select * from item where id = $1', values: [1] },
        { ...SELECT, name: 'portions', rows: 1 },
      ])
        await onEach(pool, config)
      await change('alter table item add column more int default 7')
      expect(await codesOf(() => run(pool))).toEqual([])
      expect((await run(pool)).rows).toEqual([{ id: 1, n: 1, more: 7 }])
      expect(opened()).toBe(CONNECTIONS)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: a new column makes no prepared query of Drizzle fail', async ({ direct, change }) => {
    await using pool = holdfast({ ...direct, max: CONNECTIONS })
    const item = pgTable('item', { id: integer(), n: integer() })
    const prepared = drizzle({ client: pool }).select().from(item).prepare('drizzled')
    await Promise.all(Array.from({ length: CONNECTIONS }, () => prepared.execute()))
    await change('alter table item alter column n type bigint')
    expect(await codesOf(async () => prepared.execute())).toEqual([])
    expect(await prepared.execute()).toEqual([{ id: 1, n: 1 }])
  })

  test('Holdfast: stale statements of one client keep their order, and a write is done once', async ({
    cluster,
    direct,
    change,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const write = { name: 'write', text: 'insert into item (id, n) values ($1, $2) returning *', values: [2, 2] }
    await pool.query(write)
    await change('alter table item add column more int')
    await onClient(pool, async (client) => {
      const results = await Promise.all([
        client.query(write),
        client.query('select count(*)::int as count from item where id = 2'),
        client.query(write),
        client.query('select count(*)::int as count from item where id = 2'),
      ])
      expect(results.map(({ rows }) => rows[0])).toEqual([
        { id: 2, n: 2, more: null },
        { count: 2 },
        { id: 2, n: 2, more: null },
        { count: 3 },
      ])
    })
    expect(await cluster.query('select count(*)::int as count from item where id = 2')).toEqual([{ count: 3 }])
  })

  test('Holdfast: a new column fails one statement in all transactions, retryable', async ({ direct, change }) => {
    await using pool = holdfast({ ...direct, max: CONNECTIONS })
    await onEach(pool, SELECT)
    await change('alter table item add column more int')
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.connect()))
    const errors: unknown[] = []
    for (const client of clients) {
      await client.query('begin')
      await client.query(SELECT).catch((error: unknown) => errors.push(error))
      await client.query('rollback')
    }
    for (const client of clients) client.release()
    expect(errors).toMatchObject([{ code: '0A000' }])
    expect(errors.map(isRetryable)).toEqual([true])
  })

  test('Holdfast: pool.transaction runs again, once, when a statement is stale', async ({ direct, change }) => {
    await using pool = holdfast({ ...direct, max: CONNECTIONS })
    await onEach(pool, SELECT)
    await change('alter table item add column more int')
    const attempts: number[] = []
    for (let time = 0; time < CONNECTIONS; time++) {
      let count = 0
      const { rows } = await pool.transaction((tx) => {
        count++
        return tx.query(SELECT)
      })
      expect(rows).toHaveLength(1)
      attempts.push(count)
    }
    expect(attempts).toEqual([2, 1, 1])
  })

  test('Holdfast: a new column makes one statement in a pipeline fail on a connection, and the next one does not', async ({
    direct,
    change,
  }) => {
    await using pool = holdfast({ ...direct, max: 1, pipeline: true } as never)
    await pool.query(SELECT)
    await change('alter table item add column more int')
    expect(await codesOf(() => pool.query(SELECT))).toEqual(['0A000'])
  })
})

/** What makes a prepared statement stale, and which statement that is. */
const CHANGES: readonly [string, pg.QueryConfig, (cluster: Cluster) => Promise<unknown>, unknown[]][] = [
  [
    'the type of a column was changed, and that of a parameter with it (42804)',
    { name: 'insert', text: 'insert into item (n) values ($1)', values: [1] },
    (cluster) => admin(cluster, 'alter table item alter column n type jsonb using to_jsonb(n)'),
    ['{}'],
  ],
  [
    'an operator is another one now (42883)',
    { name: 'compare', text: 'select id from item where n = $1', values: [1] },
    (cluster) => admin(cluster, 'alter table item alter column n type text'),
    ['abc'],
  ],
  [
    'a value is right now that was wrong before (22P02)',
    { name: 'text', text: 'insert into item (n) values ($1)', values: [1] },
    (cluster) => admin(cluster, 'alter table item alter column n type text'),
    ['abc'],
  ],
  [
    'an enum was replaced (XX000 cache lookup failed)',
    { name: 'mood', text: 'select $1::mood as mood', values: ['sad'] },
    (cluster) => admin(cluster, "begin; drop type mood; create type mood as enum ('sad', 'merry'); commit"),
    ['merry'],
  ],
]

const admin = (cluster: Cluster, sql: string): Promise<unknown> => cluster.withAdmin((client) => client.query(sql))

describe('a prepared statement is stale for another reason', () => {
  test.for(CHANGES)(
    'Holdfast: no statement fails when %s',
    async ([, config, make, values], { cluster, direct, change }) => {
      await change("drop type if exists mood; create type mood as enum ('sad')")
      await using pool = holdfast({ ...direct, max: CONNECTIONS })
      await onEach(pool, config)
      await make(cluster)
      expect(await codesOf(() => pool.query({ ...config, values }))).toEqual([])
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test.for(['discard all', 'deallocate all', 'deallocate items', "do $$ begin execute 'deallocate all'; end $$"])(
    'Holdfast: no statement fails after %s by hand',
    async (sql, { direct, change }) => {
      await change('select 1')
      await using pool = holdfast({ ...direct, max: 1 })
      await pool.query(SELECT)
      await pool.query(sql)
      expect(await codesOf(() => pool.query(SELECT))).toEqual([])
    },
  )

  test('Holdfast: no statement of a transaction fails after discard all by hand', async ({ direct, change }) => {
    await change('select 1')
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query(SELECT)
    await pool.query('discard all')
    const { rows } = await pool.transaction((tx) => tx.query(SELECT), { retry: false })
    expect(rows).toEqual([{ id: 1, n: 1 }])
  })

  test('Holdfast: a name that SQL has taken stays, and the statement runs without one', async ({ direct, change }) => {
    await change('select 1')
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query("prepare items as select 'of the application' as whose")
    expect(await codesOf(() => pool.query(SELECT))).toEqual([])
    expect((await pool.query(SELECT)).rows).toEqual([{ id: 1, n: 1 }])
    expect((await pool.query('execute items')).rows).toEqual([{ whose: 'of the application' }])
  })

  test.for([
    ['another statement of the pool has become stale', 'alter table item add column more int'],
    ['the pool has lost track of all of them', undefined],
  ] as const)(
    'Holdfast: a name that SQL has taken never runs the statement of SQL, when %s',
    async ([, sql], { direct, change }) => {
      await change('select 1')
      await using pool = holdfast({ ...direct, max: 1 })
      await pool.query("prepare theirs as select 'theirs' as whose")
      const ours = { name: 'theirs', text: "select 'ours' as whose" }
      expect((await pool.query(ours)).rows).toEqual([{ whose: 'ours' }])
      await pool.query(SELECT)
      await (sql ? change(sql) : pool.query('deallocate items'))
      await pool.query(SELECT)
      for (let time = 0; time < 3; time++) expect((await pool.query(ours)).rows).toEqual([{ whose: 'ours' }])
    },
  )

  test('Holdfast: a name that SQL has taken and given back fails no statement', async ({ direct, change }) => {
    await change('select 1')
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query("prepare items as select 'of the application' as whose")
    await pool.query(SELECT)
    await pool.query('deallocate items')
    expect(await codesOf(() => pool.query(SELECT), 3)).toEqual([])
  })

  test('Holdfast: a statement that lacks a permission makes no other statement stale', async ({ direct, change }) => {
    await change('drop table if exists hidden_item; create table hidden_item (id int)')
    await using pool = holdfast({ ...direct, max: 2 })
    const [refused, other] = [await pool.connect(), await pool.connect()]
    const preparedAt = async (): Promise<unknown> =>
      (await other.query("select prepare_time::text as at from pg_prepared_statements where name = 'items'")).rows
    await other.query(SELECT)
    const first = await preparedAt()
    const codes = await codesOf(() => refused.query({ name: 'hidden', text: 'select * from hidden_item' }), 5)
    await other.query(SELECT)
    expect([codes, await preparedAt()]).toEqual([Array.from({ length: 5 }, () => '42501'), first])
    let runs = 0
    const work = pool.transaction(async (tx) => {
      runs++
      await tx.query({ name: 'hidden', text: 'select * from hidden_item' })
    })
    refused.release()
    other.release()
    expect(await rejection(work)).toMatchObject({ code: '42501' })
    expect(runs).toBe(1)
  })

  test.for([true, false])(
    'Holdfast: a value that has no text leaves no broken name behind (known before: %s)',
    async (isKnown, { direct, change }) => {
      await change('select 1')
      await using pool = holdfast({ ...direct, max: 1 })
      const config = { name: 'value', text: 'select $1::text as value' }
      const circular: Record<string, unknown> = {}
      circular.self = circular
      if (isKnown) await pool.query(config, ['a'])
      expect(await rejection(pool.query(config, [circular]))).toBeInstanceOf(TypeError)
      expect((await pool.transaction((tx) => tx.query(config, ['b']), { retry: false })).rows).toEqual([{ value: 'b' }])
    },
  )

  test('Holdfast: nothing is left of statements that were forgotten', async ({ direct, change }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query(SELECT)
    for (const column of ['a', 'b', 'c']) {
      await change(`alter table item add column ${column} int`)
      await pool.query(SELECT)
    }
    const { rows } = await pool.query('select name from pg_prepared_statements')
    expect(rows).toEqual([{ name: 'items' }])
  })
})

describe('what is wrong with a named statement itself', () => {
  test("Holdfast: a named statement that is wrong itself rejects with the server's own error, and keeps the connection", async ({
    cluster,
    direct,
    change,
  }) => {
    await change('alter table item add unique (id)')
    await using pool = holdfast({ ...direct, max: 1 })
    const pid = await backendPid(pool)
    const insert = { name: 'insert', text: 'insert into item (id) values ($1)' }
    expect(await rejection(pool.query(insert, [1]))).toMatchObject({ code: '23505' })
    expect(await rejection(pool.query(insert, ['x']))).toMatchObject({ code: '22P02' })
    expect(await rejection(pool.query({ name: 'none', text: 'select * from nowhere' }))).toMatchObject({
      code: '42P01',
    })
    expect(await rejection(pool.query({ name: 'execute', text: 'execute nowhere' }))).toMatchObject({ code: '26000' })
    await pool.query(insert, [2])
    await change('drop table item')
    expect(await rejection(pool.query(insert, [3]))).toMatchObject({ code: '42P01' })
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: another text under the same name is refused by the driver', async ({ direct, change }) => {
    await change('select 1')
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query(SELECT)
    expect(await rejection(pool.query({ ...SELECT, text: 'select 2' }))).toMatchObject({
      message: "Prepared statements must be unique - 'items' was used for a different statement",
    })
  })

  test('Holdfast: a named statement that failed while it ran is not run again', async ({ cluster, direct, change }) => {
    await change('create sequence if not exists runs; grant all on sequence runs to app')
    await change(`create or replace function fails() returns int language plpgsql as $$ begin
      perform nextval('runs'); raise exception 'cached plan must not change result type' using errcode = '0A000'; end $$`)
    await using pool = holdfast({ ...direct, max: 1 })
    const config = { name: 'fails', text: 'select fails()' }
    await rejection(pool.query(config))
    expect(await rejection(pool.query(config))).toMatchObject({ code: '0A000' })
    expect(await cluster.query('select last_value::int as runs from runs')).toEqual([{ runs: 2 }])
    expect(isRetryable(await rejection(pool.query(config)))).toBe(false)
  })
})

describe('a server that was restarted since', () => {
  test('Holdfast: no prepared statement fails after a restart of the server', async ({ cluster, direct, change }) => {
    await using pool = holdfast({ ...direct, max: CONNECTIONS })
    await onEach(pool, SELECT)
    await change('alter table item add column more int')
    await cluster.restart('fast')
    expect(await codesOf(() => pool.query(SELECT))).toEqual([])
    expect(await warmUp(pool, CONNECTIONS)).toHaveLength(CONNECTIONS)
  })
})

async function onClient<Result>(pool: Pool, work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
  const client = await pool.connect()
  try {
    return await work(client)
  } finally {
    client.release()
  }
}
