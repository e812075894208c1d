import { Pool } from '@holdfast/core'
import { sql as drizzleSql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import pg from 'pg'
import { DataSource } from 'typeorm'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { rejection, settles } from '../faults/support/settling.ts'

/** Runs a statement by an object of the ORM whose connection is released. */
type Late = (text: string) => Promise<unknown>

interface Orm {
  readonly orm: string
  /** Releases a connection, and keeps an object of the ORM that runs statements on it. */
  readonly leave: (pool: pg.Pool) => Promise<Late>
}

/** Stock ORMs on our pool. */
const ORMS: readonly Orm[] = [
  {
    orm: 'Drizzle: a transaction',
    async leave(pool) {
      const db = drizzle({ client: pool })
      return db.transaction(
        async (tx): Promise<Late> =>
          (text) =>
            tx.execute(drizzleSql.raw(text)),
      )
    },
  },
  {
    orm: 'Kysely: a transaction',
    async leave(pool) {
      const db = new Kysely<object>({ dialect: new PostgresDialect({ pool: pool as PostgresPool }) })
      return db.transaction().execute(
        async (tx): Promise<Late> =>
          (text) =>
            sql.raw(text).execute(tx),
      )
    },
  },
  {
    orm: 'Kysely: a connection',
    async leave(pool) {
      const db = new Kysely<object>({ dialect: new PostgresDialect({ pool: pool as PostgresPool }) })
      return db.connection().execute(
        async (own): Promise<Late> =>
          (text) =>
            sql.raw(text).execute(own),
      )
    },
  },
  {
    orm: 'TypeORM: the connection of a query runner',
    async leave(pool) {
      const runner = (await sourceOn(pool)).createQueryRunner()
      const client: pg.PoolClient = await runner.connect()
      await runner.release()
      return (text) => client.query(text)
    },
  },
  {
    orm: "TypeORM: a transaction's manager",
    async leave(pool) {
      const source = await sourceOn(pool)
      return source.transaction(
        async (manager): Promise<Late> =>
          (text) =>
            manager.query(text),
      )
    },
  },
]

async function sourceOn(pool: pg.Pool): Promise<DataSource> {
  const driver = {
    Pool: function OurPool() {
      return pool
    },
    defaults: pg.defaults,
  }
  return new DataSource({ type: 'postgres', driver }).initialize()
}

describe.for(ORMS)('$orm, used after its connection was released', ({ leave }) => {
  test.for([
    { late: 'commit', end: 'rollback', written: 0 },
    { late: 'rollback', end: 'commit', written: 1 },
    { late: "insert into entry values ('late')", end: 'commit', written: 1 },
  ])(
    "an ORM used after its release is refused ('$late') while the next holder is in a transaction",
    async ({ late, end, written }, { cluster, direct }) => {
      await using pool = new Pool({ ...direct, max: 1 })
      const run = await leave(pool)
      const id = `${direct.application_name} ${late.slice(0, 8)}`
      const next = await pool.connect()
      await next.query('begin')
      await next.query('insert into entry values ($1)', [id])
      const error = await settles(rejection(run(late)), 'the late statement')
      // TypeORM and Kysely themselves refuse statements of transactions that have ended.
      expect(`${codeOf(error)} ${error.name}: ${error.message}`).toMatch(
        /HOLDFAST_RELEASED|AlreadyReleased|already committed/,
      )
      await next.query(end)
      next.release()
      expect(await cluster.query("select id from entry where id in ($1, 'late')", [id])).toHaveLength(written)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('an ORM used after its release is refused while a statement of pool.query runs', async ({ cluster, direct }) => {
    await using pool = new Pool({ ...direct, max: 1 })
    const run = await leave(pool)
    const running = pool.query('select pg_sleep(0.05)')
    const error = await settles(rejection(run('select 1')), 'the late statement')
    expect(`${codeOf(error)} ${error.name}: ${error.message}`).toMatch(
      /HOLDFAST_RELEASED|AlreadyReleased|already committed/,
    )
    await running
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

/** The code of the error, or of its cause. */
function codeOf(error: unknown): unknown {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown }
  return code ?? (cause && codeOf(cause))
}
