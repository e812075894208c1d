import type pg from 'pg'
import { describe, expect } from 'vitest'
import type { Cluster } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { rejection } from './support/settling.ts'

const CONNECTIONS = 3
const TIMES = 10

const change = (cluster: Cluster, sql: string): Promise<unknown> => cluster.withAdmin((client) => client.query(sql))

/** The codes of what fails, of `TIMES` statements one after the other. */
async function codesOf(run: () => Promise<unknown>): Promise<string[]> {
  const codes: string[] = []
  for (let time = 0; time < TIMES; time++)
    await run().catch((error: unknown) => codes.push((error as { code: string }).code))
  return codes
}

describe('the plans in a function are stale', () => {
  const CALL = 'select first_of_part()'

  async function prepare(cluster: Cluster): Promise<void> {
    await change(
      cluster,
      `drop function if exists first_of_part; drop table if exists part;
       create table part (v int); grant all on part to app; insert into part values (1);
       create function first_of_part() returns text language plpgsql as $$ declare r record; begin
         for r in select * from part loop return r.v::text || 'x'; end loop; return ''; end $$`,
    )
  }
  const alter = (cluster: Cluster): Promise<unknown> => change(cluster, 'alter table part alter v type text')

  test('stock pg.Pool: stale plans in a function fail a client at each lease', async ({ cluster, direct }) => {
    await prepare(cluster)
    await using pool = new StockPool({ ...direct, max: 1 })
    const [, viaConnect] = WAYS
    await viaConnect?.run(pool, CALL)
    await alter(cluster)
    expect(await codesOf(() => viaConnect?.run(pool, CALL) as Promise<unknown>)).toEqual(
      Array.from({ length: TIMES }, () => '42804'),
    )
  })

  test.for(WAYS)(
    'Holdfast: stale plans in a function fail one statement, through $way',
    async ({ run }, { cluster, direct }) => {
      await prepare(cluster)
      await using pool = holdfast({ ...direct, max: 1 })
      await run(pool, CALL)
      await alter(cluster)
      expect(await codesOf(() => run(pool, CALL))).toEqual(['42804'])
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )
})

describe('the role of the session was dropped, and made again', () => {
  test('Holdfast: a role that was dropped and made again fails one statement', async ({ cluster, direct }) => {
    await change(cluster, "create role passing login password 'passing'")
    await using pool = holdfast({ ...direct, user: 'passing', password: 'passing', max: 1 })
    await warmUp(pool, 1)
    await change(cluster, "drop role passing; create role passing login password 'passing'")
    expect(await codesOf(() => pool.query('select current_user'))).toEqual(['42704'])
  })
})

describe('a read-only default that was lifted since', () => {
  const INSERT = 'insert into written default values'

  async function warmUpReadOnly(pool: pg.Pool, cluster: Cluster): Promise<void> {
    await change(cluster, 'create table if not exists written (id serial); grant all on written, written_id_seq to app')
    await change(cluster, 'alter role app set default_transaction_read_only = on')
    await warmUp(pool, CONNECTIONS)
    await change(cluster, 'alter role app reset default_transaction_read_only')
  }

  test.for(WAYS)(
    'Holdfast: a read-only default that was lifted since fails one statement of the whole pool, through $way',
    async ({ run }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: CONNECTIONS })
      await warmUpReadOnly(pool, cluster)
      expect(await codesOf(() => run(pool, INSERT))).toEqual(['25006'])
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: a lifted read-only default fails one statement in a transaction', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: CONNECTIONS })
    await warmUpReadOnly(pool, cluster)
    expect(await codesOf(() => pool.transaction((tx) => tx.query(INSERT)))).toEqual(['25006'])
  })

  test("Holdfast: the application's own READ ONLY costs no connection", async ({ cluster, direct }) => {
    await change(cluster, 'create table if not exists written (id serial); grant all on written, written_id_seq to app')
    await using pool = holdfast({ ...direct, max: 1 })
    const pids = await warmUp(pool, 1)
    const error = await rejection(pool.transaction((tx) => tx.query(INSERT), { accessMode: 'read only' }))
    expect(error).toMatchObject({ code: '25006' })
    expect(await warmUp(pool, 1)).toEqual(pids)
  })

  test('Holdfast: a default that the pool asks for itself costs no connection', async ({ cluster, direct }) => {
    await change(cluster, 'create table if not exists written (id serial); grant all on written, written_id_seq to app')
    await using pool = holdfast({ ...direct, max: 1, options: '-c default_transaction_read_only=on' })
    const pids = await warmUp(pool, 1)
    expect(await rejection(pool.query(INSERT))).toMatchObject({ code: '25006' })
    expect(await warmUp(pool, 1)).toEqual(pids)
  })
})

describe('onConnect makes the sessions of a pool read only', () => {
  test('Holdfast: a write refused since onConnect set READ ONLY costs nothing', async ({ cluster, direct }) => {
    await change(cluster, 'drop table if exists readable; create table readable (id int); grant all on readable to app')
    await using pool = holdfast({
      ...direct,
      max: 1,
      onConnect: async (client) => void (await client.query('set default_transaction_read_only = on')),
    })
    const pid = await warmUp(pool, 1)
    expect(await codesOf(() => pool.query('insert into readable values (1)'))).toEqual(
      Array.from({ length: TIMES }, () => '25006'),
    )
    expect(await warmUp(pool, 1)).toEqual(pid)
  })
})
