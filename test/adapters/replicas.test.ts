import { OptionsError, type PoolOptions, withPoolOptions } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { HoldfastDialect } from '@holdfast/kysely'
import { driverFor, type HoldfastDataSourceOptions, holdfast } from '@holdfast/typeorm'
import { sql as drizzleSql } from 'drizzle-orm'
import { withReplicas } from 'drizzle-orm/pg-core'
import { Kysely, sql } from 'kysely'
import { DataSource } from 'typeorm'
import { expect } from 'vitest'
import { test } from '../faults/support/failover-test.ts'
import { holdfast as poolFor } from '../faults/support/pools.ts'
import { readingFrom } from '../faults/support/replicas.ts'
import { until } from '../support/index.ts'
import { optionsFrom } from './subjects/typeorm.ts'

const WHERE = 'select pg_is_in_recovery() as is_standby'
const ON_STANDBY = [{ is_standby: true }]
const ON_PRIMARY = [{ is_standby: false }]

test("Drizzle's withReplicas reads from pool.reader, and from the primary while the replica is down", async ({
  primary,
  standby,
}) => {
  await using pool = poolFor(readingFrom(primary, [standby]))
  const db = withReplicas(drizzle({ client: pool }), [drizzle({ client: pool.reader })])
  const read = async (): Promise<unknown> =>
    await db.select({ is_standby: drizzleSql`pg_is_in_recovery()` }).from(drizzleSql`(values (1)) as one`)
  expect(await read()).toEqual(ON_STANDBY)
  expect((await db.execute(drizzleSql.raw(WHERE))).rows).toEqual(ON_PRIMARY)
  await standby.stop('immediate')
  expect(await read()).toEqual(ON_PRIMARY)
})

test('a second Kysely reads from pool.reader, also in transactions, and from the primary while the replica is down', async ({
  primary,
  standby,
}) => {
  await using pool = poolFor(readingFrom(primary, [standby]))
  const db = new Kysely<object>({ dialect: new HoldfastDialect({ pool }) })
  const reader = new Kysely<object>({ dialect: new HoldfastDialect({ pool: pool.reader }) })
  const question = sql.raw(WHERE)
  const read = (): Promise<unknown> => question.execute(reader).then(({ rows }) => rows)
  expect([await read(), (await question.execute(db)).rows]).toEqual([ON_STANDBY, ON_PRIMARY])
  const { rows } = await reader.transaction().execute((trx) => question.execute(trx))
  expect(rows).toEqual(ON_STANDBY)
  await standby.stop('immediate')
  expect(await read()).toEqual(ON_PRIMARY)
})

test('TypeORM reads from the replica in a scope of target reader, and sees what was written before', async ({
  primary,
  standby,
}) => {
  const options: PoolOptions = readingFrom(primary, [standby])
  const source = await new DataSource(holdfast(optionsFrom(options))).initialize()
  try {
    expect(await source.query(WHERE)).toEqual(ON_PRIMARY)
    await source.query("insert into paid values ('a')")
    const [{ after }] = await source.query('select pg_current_wal_lsn()::text as after')
    const read = (): Promise<unknown> => source.query('select id, pg_is_in_recovery() as is_standby from paid')
    expect(await withPoolOptions({ target: 'reader', after }, read)).toEqual([{ id: 'a', is_standby: true }])
  } finally {
    await source.destroy()
  }
  await until(async () => (await standby.countSessions()) === 0)
})

test('a data source on a shared pool does the same, and one on pool.reader reads there', async ({
  primary,
  standby,
}) => {
  await using pool = poolFor(readingFrom(primary, [standby]))
  const sourceOn = (shared: typeof pool): Promise<DataSource> =>
    new DataSource({ type: 'postgres', driver: driverFor(shared) }).initialize()
  const source = await sourceOn(pool)
  expect(await withPoolOptions({ target: 'reader' }, () => source.query(WHERE))).toEqual(ON_STANDBY)
  const reader = await sourceOn(pool.reader)
  expect([await reader.query(WHERE), await source.query(WHERE)]).toEqual([ON_STANDBY, ON_PRIMARY])
  await Promise.all([source.destroy(), reader.destroy()])
})

test("TypeORM's own replication and `replicas` exclude each other", () => {
  const options: HoldfastDataSourceOptions = {
    type: 'postgres',
    replication: { master: { host: 'h1' }, slaves: [{ host: 'h2' }] },
    holdfast: { replicas: { hosts: [{ host: 'h2' }] } },
  }
  expect(() => holdfast(options)).toThrow(OptionsError)
})
