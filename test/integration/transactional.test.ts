import type pg from 'pg'
import { describe, expect } from 'vitest'
import { atEachByte, test } from '../faults/support/at-each-byte.ts'
import type { ByteProxy } from '../faults/support/byte-proxy.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'
import { type Cluster, until } from '../support/index.ts'
import { message, ScriptedServer } from '../support/scripted-server.ts'

const insert = (id: string) => ({ text: 'insert into entry values ($1) returning id', values: [id] })

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

/** How many round trips it takes on a connection whose server has answered a probe before. */
async function turnsOf(proxy: ByteProxy, run: () => Promise<unknown>): Promise<number> {
  proxy.reset()
  await run()
  return proxy.turns
}

describe('a write with `transactional`', () => {
  test('takes two round trips, and a plain write one', async ({ bytes, direct }) => {
    await using pool = holdfast({ ...bytes.config(direct), max: 1, prePing: false })
    const plain = { text: 'insert into entry values ($1)', values: ['plain'] }
    const first = { text: 'insert into entry values ($1)', values: ['first'], transactional: true }
    await pool.query(first)
    expect(await turnsOf(bytes, () => pool.query(plain))).toBe(1)
    expect(await turnsOf(bytes, () => pool.query({ ...first, values: ['second'] }))).toBe(2)
    expect(await turnsOf(bytes, () => pool.query({ text: 'select 1', transactional: true }))).toBe(2)
    expect(await turnsOf(bytes, () => pool.query({ text: 'insert into entry values (3)', transactional: true }))).toBe(
      2,
    )
  })

  test('never runs by itself when the server refuses BEGIN: everything is under one Sync', async () => {
    const letters: string[] = []
    await using server = await ScriptedServer.start(async (session) => {
      await session.next()
      session.send(message.loggedIn(session.number))
      for (let asked = await session.next(); asked; asked = await session.next()) {
        const text = asked.letter === 'P' ? `P(${asked.body.toString().split('\0')[1]?.slice(0, 12)})` : asked.letter
        letters.push(text)
        // The trial of the probe is refused, and then BEGIN is.
        if (asked.letter === 'Q') session.send(message.error('ERROR', '42883', 'no such function'), message.ready())
        if (asked.letter === 'S') session.send(message.error('ERROR', '0A000', 'no transactions here'), message.ready())
      }
    })
    await using pool = holdfast({ ...server.config(), prePing: false, watch: false })
    expect(await rejection(pool.query({ ...insert('refused'), transactional: true }))).toMatchObject({ code: '0A000' })
    expect(letters.join(' ')).toMatch(/Q P\(BEGIN\) B E P\(insert into \) B D E S$/)
    expect(pool.idleCount).toBe(1)
  })

  test('tells an SQL error, and leaves a clean session', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    for (const text of ['select 1 / 0', 'select 1 / $1::int', 'selec 1', 'insert into entry values (null)'])
      expect(
        await rejection(pool.query({ text, ...(text.includes('$1') && { values: [0] }), transactional: true })),
      ).toHaveProperty('code')
    expect((await pool.query({ ...insert('after-errors'), transactional: true })).rows).toEqual([
      { id: 'after-errors' },
    ])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('tells of a value that can not be sent, and leaves a clean session', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const values = [
      {
        toPostgres: () => {
          throw new RangeError('no such value')
        },
      },
    ]
    const error = await rejection(pool.query({ text: 'insert into entry values ($1)', values, transactional: true }))
    expect(error).toBeInstanceOf(RangeError)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("has the driver's own result: rows as arrays, types, names, the tag", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const types = { getTypeParser: () => (value: string) => `<${value}>` }
    const query = { text: 'select $1::int as a, 2 as b', values: [1], transactional: true }
    const result = await pool.query({ ...query, rowMode: 'array' as const })
    expect(result).toMatchObject({ command: 'SELECT', rowCount: 1, rows: [[1, 2]] })
    expect(result.fields.map(({ name }) => name)).toEqual(['a', 'b'])
    expect((await pool.query({ ...query, types: types as never })).rows).toEqual([{ a: '<1>', b: '<2>' }])
    for (let time = 0; time < 3; time++)
      expect((await pool.query({ ...query, name: 'by-name' })).rows).toEqual([{ a: 1, b: 2 }])
    expect((await pool.query({ text: '', transactional: true })).rows).toEqual([])
    await using client = await pool.connect()
    expect((await client.query({ ...query, transactional: false, name: 'by-name' } as pg.QueryConfig)).rows).toEqual([
      { a: 1, b: 2 },
    ])
  })

  test('a parser that throws rejects it, and nothing is written', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const types = {
      getTypeParser: () => () => {
        throw new RangeError('of the parser')
      },
    }
    const error = await rejection(pool.query({ ...insert('parsed'), types: types as never, transactional: true }))
    expect(error).toBeInstanceOf(RangeError)
    const lookUp = {
      getTypeParser: () => {
        throw new RangeError('of the look-up')
      },
    }
    expect(
      await rejection(pool.query({ ...insert('parsed'), types: lookUp as never, transactional: true })),
    ).toBeInstanceOf(RangeError)
    expect(await isWritten(cluster, 'parsed')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('by a name whose statement has become stale runs again', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) => admin.query('create table stale (id int); grant all on stale to app'))
    await using pool = holdfast({ ...direct, max: 1 })
    const query = { name: 'stale', text: 'insert into stale values ($1) returning *', transactional: true }
    await pool.query({ ...query, values: [1] })
    await cluster.withAdmin((admin) => admin.query('alter table stale add column more text'))
    expect((await pool.query({ ...query, values: [2] })).rows).toEqual([{ id: 2, more: null }])
    await pool.query('deallocate all')
    expect((await pool.query({ ...query, values: [3] })).rows).toEqual([{ id: 3, more: null }])
    expect(await cluster.query('select id from stale order by id')).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
  })

  test('is prepared once a connection when it is frequent, and so is the probe behind it', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const runs = (): Promise<number> =>
      pool
        .query('select sum(generic_plans + custom_plans)::int as n from pg_prepared_statements')
        .then(({ rows }) => rows[0].n)
    const write = (time: number): Promise<unknown> =>
      pool.query({ text: 'insert into entry select $1 where false', values: [time], transactional: true })
    for (let time = 0; time < 10; time++) await write(time)
    const before = await runs()
    await write(10)
    // The statement, and the probe.
    expect(await runs()).toBe(before + 2)
    const { rows } = await pool.query('select statement from pg_prepared_statements')
    expect(rows.map(({ statement }) => String(statement).includes('insert into entry select')).sort()).toEqual([
      false,
      true,
    ])
  })

  test('is not prepared with `prepare: false`', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const text = 'insert into entry select $1 where 1 > 2'
    for (let time = 0; time < 10; time++)
      await pool.query({ text, values: [time], transactional: true, prepare: false } as pg.QueryConfig)
    const { rows } = await pool.query("select from pg_prepared_statements where statement like '%1 > 2'")
    expect(rows).toEqual([])
  })

  test('runs again, and writes once, where its prepared statement or its probe is gone or stale', async ({
    cluster,
    direct,
  }) => {
    const admin = (sql: string): Promise<unknown> => cluster.withAdmin((client) => client.query(sql))
    await admin('create table frequent (id int); grant all on frequent to app')
    await using pool = holdfast({ ...direct, max: 1 })
    const text = 'insert into frequent values ($1)'
    let written = 0
    const write = (): Promise<unknown> => pool.query({ text, values: [written++], transactional: true })
    for (let time = 0; time < 10; time++) await write()
    for (const name of ['%xact_id%', 'insert into frequent%']) {
      // No command tag shows it.
      await pool.query(`do $$ declare each text; begin
        for each in select name from pg_prepared_statements where statement like '${name}' loop
          execute 'deallocate ' || quote_ident(each); end loop; end $$`)
      await write()
      await write()
    }
    for (const change of ['alter column id type bigint', 'add column more int']) {
      await admin(`alter table frequent ${change}`)
      await write()
      await write()
    }
    expect(await cluster.query('select count(*)::int as n, count(distinct id)::int as ids from frequent')).toEqual([
      { n: written, ids: written },
    ])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('whose deferred constraint fails at COMMIT tells that', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) =>
      admin.query('create table late (id int unique deferrable initially deferred); grant all on late to app'),
    )
    await using pool = holdfast({ ...direct, max: 1 })
    const query = { text: 'insert into late values (1)', transactional: true }
    await pool.query(query)
    expect(await rejection(pool.query(query))).toMatchObject({ code: '23505' })
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('that its caller gives up is not written', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const reason = new Error('the user has left')
    const giveUp = new AbortController()
    const text = "insert into entry select 'given-up' from pg_sleep(20)"
    const query = rejection(pool.query(text, [], { transactional: true, signal: giveUp.signal }))
    await until(
      async () =>
        (await cluster.sessions({ applicationName: direct.application_name })).some(({ state }) => state === 'active'),
      { what: 'the statement to run' },
    )
    giveUp.abort(reason)
    expect(await query).toBe(reason)
    await expectHealthy(pool, cluster, direct.application_name)
    expect(await isWritten(cluster, 'given-up')).toBe(false)
  })

  test.for([
    ['several statements', "insert into entry values ('several-1'); insert into entry values ('several-2')"],
    ['a notification', "notify news, 'transactional'"],
    ['a statement with a comment', "/* written */ insert into entry values ('commented') -- here"],
  ] as const)('may be %s', async ([, text], { cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.query({ text, transactional: true })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

test('a write with `transactional` that is lost at any byte of the exchange is written once', async ({
  cluster,
  direct,
}) => {
  const ids = await atEachByte(cluster, direct, (pool, id) => pool.query({ ...insert(id), transactional: true }), 3)
  expect(ids.length).toBeGreaterThan(100)
  expect(await cluster.query('select id from entry where id = any($1)', [ids])).toHaveLength(ids.length)
})
