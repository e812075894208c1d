import { fileURLToPath } from 'node:url'
import { type RunnerOption, runner } from 'node-pg-migrate'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { unnoticed } from '../faults/support/unnoticed.ts'
import { type Cluster, until } from '../support/index.ts'
import { HOLDFAST, LIBRARIES, STOCK } from './support/libraries.ts'

const test = base.extend('schema', ({ applicationName }) => `migrated_by_${applicationName.replace(/\W/g, '_')}`)

/** Runs the migrations with a client of the pool, and gives it back whatever came of it. */
async function migrate(pool: pg.Pool, schema: string, direction: 'up' | 'down'): Promise<string[]> {
  const client = await pool.connect()
  try {
    const options: RunnerOption = {
      dbClient: client,
      dir: fileURLToPath(new URL('migrations', import.meta.url)),
      migrationsTable: 'migration',
      schema,
      createSchema: true,
      direction,
      count: Number.POSITIVE_INFINITY,
      log: () => {},
    }
    const migrations = await settles(runner(options), `the migration ${direction}`)
    return migrations.map(({ name }) => name)
  } finally {
    client.release()
  }
}

async function tablesOf(cluster: Cluster, schema: string): Promise<string[]> {
  const rows = await cluster.query<{ name: string }>(
    'select tablename as name from pg_tables where schemaname = $1 order by 1',
    [schema],
  )
  return rows.map(({ name }) => name)
}

describe.each(LIBRARIES)('node-pg-migrate on $library', ({ open }) => {
  test('node-pg-migrate migrates up and down', async ({ cluster, direct, schema }) => {
    await using pool = open({ ...direct, max: 1 })
    expect(await migrate(pool, schema, 'up')).toEqual(['1_account', '2_first-account'])
    expect(await tablesOf(cluster, schema)).toEqual(['account', 'migration'])
    expect(await cluster.query(`select * from ${schema}.account`)).toEqual([{ id: 1, balance: 100 }])
    expect(await migrate(pool, schema, 'up')).toEqual([])
    expect(await migrate(pool, schema, 'down')).toEqual(['2_first-account', '1_account'])
    expect(await tablesOf(cluster, schema)).toEqual(['migration'])
  })
})

describe('node-pg-migrate on pg.Pool', () => {
  test("node-pg-migrate on pg.Pool can't migrate after a restart", async ({ cluster, proxy, proxied, schema }) => {
    await using pool = STOCK.open({ ...proxied, max: 1 })
    await migrate(pool, schema, 'up')
    const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
    const migrated = migrate(pool, schema, 'down')
    letNewsArrive()
    await expect(migrated).rejects.toMatchObject({ code: '57P01' })
  })
})

describe('node-pg-migrate on Holdfast', () => {
  test('node-pg-migrate on Holdfast migrates after a restart', async ({ cluster, proxy, proxied, schema }) => {
    await using pool = HOLDFAST.open({ ...proxied, max: 1 })
    await migrate(pool, schema, 'up')
    const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
    const migrated = migrate(pool, schema, 'down')
    letNewsArrive()
    expect(await migrated).toEqual(['2_first-account', '1_account'])
    expect(await tablesOf(cluster, schema)).toEqual(['migration'])
  })

  test('a migration on Holdfast whose session is killed leaves nothing, and can be run again', async ({
    cluster,
    direct,
    applicationName,
    schema,
  }) => {
    await using pool = HOLDFAST.open({ ...direct, max: 1 })
    await migrate(pool, schema, 'up')
    await cluster.withAdmin(async (admin) => {
      await admin.query(`begin; lock ${schema}.account`)
      const failure = rejection(migrate(pool, schema, 'down'))
      const waiting = await until(async () =>
        (await cluster.sessions({ applicationName })).find(({ waitEvent }) => waitEvent === 'relation'),
      )
      await cluster.terminateBackends({ pid: waiting.pid })
      // It sends BEGIN, the migration and COMMIT one by one, so COMMIT was never sent.
      expect(await failure).toMatchObject({ code: '57P01', commitOutcome: 'aborted' })
    })
    expect(await tablesOf(cluster, schema)).toEqual(['account', 'migration'])
    expect(await migrate(pool, schema, 'down')).toEqual(['2_first-account', '1_account'])
  })
})
