import { HoldfastDialect } from '@holdfast/kysely'
import { Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast } from '../../faults/support/pools.ts'
import { settles } from '../../faults/support/settling.ts'
import type { Cluster } from '../../support/index.ts'

/** A schema of its own for each test, which the ordinary role owns. */
async function schemaIn(cluster: Cluster, name: string): Promise<string> {
  await cluster.query(`create schema ${name} authorization app`)
  return name
}

function migratorIn(schema: string, db: Kysely<unknown>, migrations: Record<string, Migration>): Migrator {
  return new Migrator({
    db: db.withSchema(schema),
    migrationTableSchema: schema,
    provider: { getMigrations: async () => migrations },
  })
}

/** Two migrations: a table, and a row in it. */
function accounts(schema: string, afterTable = async (_db: Kysely<unknown>): Promise<void> => {}) {
  return {
    '1 table': {
      up: async (db: Kysely<unknown>) => {
        await db.schema.withSchema(schema).createTable('account').addColumn('id', 'integer').execute()
        await afterTable(db)
      },
      down: async (db: Kysely<unknown>) => {
        await db.schema.withSchema(schema).dropTable('account').execute()
      },
    },
    '2 row': {
      up: async (db: Kysely<unknown>) =>
        void (await sql`insert into ${sql.id(schema, 'account')} values (1)`.execute(db)),
      down: async () => {},
    },
  }
}

test('the migrator migrates up and down', async ({ cluster, direct }) => {
  const schema = await schemaIn(cluster, 'up_and_down')
  await using pool = holdfast({ ...direct, max: 1 })
  const db = new Kysely<unknown>({ dialect: new HoldfastDialect({ pool }) })
  const migrator = migratorIn(schema, db, accounts(schema))
  expect((await migrator.migrateToLatest()).results?.map(({ status }) => status)).toEqual(['Success', 'Success'])
  expect(await cluster.query(`select id from ${schema}.account`)).toEqual([{ id: 1 }])
  await migrator.migrateDown()
  await migrator.migrateDown()
  expect(await cluster.query('select to_regclass($1) as it', [`${schema}.account`])).toEqual([{ it: null }])
  await expectHealthy(pool, cluster, direct.application_name)
})

test('two migrators that run at the same time migrate once', async ({ cluster, direct }) => {
  const schema = await schemaIn(cluster, 'two_at_a_time')
  await using pool = holdfast(direct)
  const db = new Kysely<unknown>({ dialect: new HoldfastDialect({ pool }) })
  const both = [1, 2].map(() => migratorIn(schema, db, accounts(schema)).migrateToLatest())
  const outcomes = await settles(Promise.all(both), 'both migrators')
  expect(outcomes.map(({ error }) => error)).toEqual([undefined, undefined])
  expect(outcomes.flatMap(({ results = [] }) => results)).toHaveLength(2)
  expect(await cluster.query(`select id from ${schema}.account`)).toEqual([{ id: 1 }])
  await expectHealthy(pool, cluster, direct.application_name)
})

test('a migration whose session dies is rolled back, and can run again', async ({
  cluster,
  direct,
  applicationName,
}) => {
  const schema = await schemaIn(cluster, 'session_dies')
  await using pool = holdfast({ ...direct, max: 1 })
  const db = new Kysely<unknown>({ dialect: new HoldfastDialect({ pool }) })
  const die = async (trx: Kysely<unknown>): Promise<void> => {
    await sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx)
  }
  const { error } = await migratorIn(schema, db, accounts(schema, die)).migrateToLatest()
  expect(error).toMatchObject({ name: 'ConnectionLostError', code: '57P01', commitOutcome: 'aborted' })
  expect(await cluster.query('select to_regclass($1) as it', [`${schema}.account`])).toEqual([{ it: null }])
  const again = await migratorIn(schema, db, accounts(schema)).migrateToLatest()
  expect(again.error).toBeUndefined()
  expect(await cluster.query(`select id from ${schema}.account`)).toEqual([{ id: 1 }])
  await expectHealthy(pool, cluster, applicationName)
})

test('the introspector returns schemas, tables and columns', async ({ cluster, direct }) => {
  const schema = await schemaIn(cluster, 'introspected')
  await cluster.query(`create table ${schema}.account (id serial primary key, owner text not null)`)
  await using pool = holdfast({ ...direct, max: 1 })
  const { introspection } = new Kysely<unknown>({ dialect: new HoldfastDialect({ pool }) })
  expect((await introspection.getSchemas()).map(({ name }) => name)).toContain(schema)
  const tables = (await introspection.getTables()).filter((table) => table.schema === schema)
  expect(tables).toMatchObject([
    {
      name: 'account',
      columns: [
        { name: 'id', dataType: 'int4', isAutoIncrementing: true },
        { name: 'owner', dataType: 'text', isNullable: false },
      ],
    },
  ])
  await expectHealthy(pool, cluster, direct.application_name)
})
