import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RetryOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { rejection } from '../../faults/support/settling.ts'
import type { Cluster } from '../../support/index.ts'
import { EDITIONS, type Edition } from './support/editions.ts'

const AGAIN: RetryOptions = { retries: 3, minTimeout: 1, maxTimeout: 10 }
const NAME = '20260101000000_first'

/** A folder with one migration, as drizzle-kit writes it: 0.45 has a journal, 1.0 a folder for each migration. */
class Migrations implements AsyncDisposable {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async of(sql: string, { edition }: Edition): Promise<Migrations> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-migrations-'))
    const hasJournal = edition === 'Drizzle 0.45'
    await mkdir(join(folder, hasJournal ? 'meta' : NAME))
    await writeFile(join(folder, hasJournal ? `${NAME}.sql` : `${NAME}/migration.sql`), sql)
    const entries = [{ idx: 0, version: '7', when: 1, tag: NAME, breakpoints: true }]
    if (hasJournal) await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify({ entries }))
    return new Migrations(folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true })
  }
}

/** How often the migration ran. A sequence isn't rolled back, so it counts every attempt. */
async function attemptsAt(cluster: Cluster, sequence: string): Promise<number> {
  const [row] = await cluster.withAdmin(async (admin) => (await admin.query(`select last_value from ${sequence}`)).rows)
  return Number(row.last_value)
}

describe.each(EDITIONS.map((edition, index) => ({ ...edition, name: `edition_${index}` })))(
  'migrate() of $edition',
  (edition) => {
    const { drizzle, migrate, name } = edition

    test('migrate() runs each migration once', async ({ cluster, direct }) => {
      await using migrations = await Migrations.of(`create table ${name} (id int);`, edition)
      const db = drizzle({ connection: { ...direct, user: 'postgres' } })
      await using pool = db.$client
      const config = { migrationsFolder: migrations.folder, migrationsSchema: name }
      await migrate(db, config)
      await migrate(db, config)
      expect((await pool.query(`select * from ${name}.__drizzle_migrations`)).rows).toHaveLength(1)
      await pool.query(`select from ${name}`)
      expect([pool.totalCount, pool.idleCount]).toEqual([1, 1])
      await expect(cluster.countSessions({ applicationName: direct.application_name })).resolves.toBe(1)
    })

    // 1.0 calls `db.transaction`; 0.45 calls the session's own transaction().
    test.for([
      { given: 'no `retry`', attempts: [1, 1] },
      { given: '`retry`', retry: AGAIN, attempts: [1, 4] },
    ])(
      'migrate() retries a migration only in 1.0, and only if drizzle() was given `retry`: $given',
      async ({ retry, attempts }, { cluster, direct }) => {
        const sequence = `${name}_${retry ? 'again' : 'once'}`
        await cluster.withAdmin((admin) => admin.query(`create sequence ${sequence}`))
        const conflict = "do $$ begin raise exception using errcode = '40001'; end $$;"
        await using migrations = await Migrations.of(`select nextval('${sequence}'); ${conflict}`, edition)
        const db = drizzle({ connection: { ...direct, user: 'postgres' }, ...(retry && { retry }) })
        await using _pool = db.$client
        const config = { migrationsFolder: migrations.folder, migrationsSchema: sequence }
        expect(await rejection(Promise.resolve(migrate(db, config)))).toMatchObject({ cause: { code: '40001' } })
        expect(await attemptsAt(cluster, sequence)).toBe(attempts[name === 'edition_0' ? 0 : 1])
      },
    )
  },
)
