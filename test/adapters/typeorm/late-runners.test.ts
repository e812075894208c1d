import { PoolTimeoutError } from '@holdfast/core'
import { driverFor } from '@holdfast/typeorm'
import { DataSource, QueryFailedError, type QueryRunner } from 'typeorm'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { holdfast } from '../../faults/support/pools.ts'
import { rejection } from '../../faults/support/settling.ts'
import type { ClusterConfig } from '../../support/index.ts'
import { Entry } from '../subjects/typeorm-stock.ts'
import { addressOf, connected, poolOf } from './support/data-source.ts'

const SHARED = 8

function sharing(direct: ClusterConfig, options: object = {}): Promise<DataSource> {
  return connected({ ...addressOf(direct), poolSize: 1, holdfast: { maxPipeline: SHARED }, ...options })
}

/** How many leases so many reads at a time take, when their text is known. */
async function leasesOf(source: DataSource, uses: () => number): Promise<number> {
  const read = (): Promise<Entry[]> => source.getRepository(Entry).findBy({ id: 'late' })
  for (let time = 0; time < 6; time++) await read()
  const before = uses()
  await Promise.all(Array.from({ length: SHARED }, read))
  return uses() - before
}

describe('a query runner, if plain reads share connections', () => {
  test('the plain reads of repositories share a connection', async ({ direct }) => {
    for (const [maxPipeline, isShared] of [
      [SHARED, true],
      [1, false],
    ] as const) {
      const source = await sharing(direct, { holdfast: { maxPipeline } })
      const leases = await leasesOf(source, () => poolOf(source).inspect()[0]?.uses ?? 0)
      if (isShared) expect(leases).toBeLessThan(SHARED)
      else expect(leases).toBe(SHARED)
      await source.destroy()
    }
  })

  test('the plain reads of a data source on a shared pool share a connection', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, maxPipeline: SHARED })
    const source = new DataSource({ type: 'postgres', driver: driverFor(pool), entities: [Entry] })
    await source.initialize()
    expect(await leasesOf(source, () => pool.inspect()[0]?.uses ?? 0)).toBeLessThan(SHARED)
    await source.destroy()
  })

  test('reads without a connection until it does something else', async ({ direct }) => {
    const source = await sharing(direct, { poolSize: 2 })
    const pool = poolOf(source)
    const runner = source.createQueryRunner()
    expect(await runner.query('select 1 as it')).toEqual([{ it: 1 }])
    expect(await runner.query('select $1::int as it', [2], true)).toMatchObject({ records: [{ it: 2 }], affected: 1 })
    expect(pool.status().leased).toBe(0)
    await runner.query("set application_name = 'of this session'")
    expect(pool.status().leased).toBe(1)
    const [{ name }] = await runner.query("select current_setting('application_name') as name")
    expect(name).toBe('of this session')
    await runner.release()
    await runner.release()
    expect((await rejection(runner.query('select 1'))).name).toBe('QueryRunnerAlreadyReleasedError')
    expect(pool.status().leased).toBe(0)
    await source.destroy()
  })

  test('has a connection of its own in a transaction, for a stream, and when its client was asked for', async ({
    direct,
  }) => {
    const source = await sharing(direct, { poolSize: 3 })
    const pid = async (runner: QueryRunner): Promise<unknown> =>
      (await runner.query('select pg_backend_pid() as pid'))[0].pid
    const runners = [0, 1, 2].map(() => source.createQueryRunner()) as [QueryRunner, QueryRunner, QueryRunner]
    for (const runner of runners) await runner.query('select 1')
    const [inTransaction, streaming, connecting] = runners
    await inTransaction.startTransaction()
    await inTransaction.manager.insert(Entry, { id: 'late' })
    expect(await inTransaction.manager.findBy(Entry, { id: 'late' })).toEqual([{ id: 'late' }])
    expect(await source.getRepository(Entry).findBy({ id: 'late' })).toEqual([])
    const rows = await (await streaming.stream('select generate_series(1, 3) as it')).toArray()
    expect(rows).toEqual([{ it: 1 }, { it: 2 }, { it: 3 }])
    const client = await connecting.connect()
    expect(client.processID).toBe(await pid(connecting))
    expect(poolOf(source).status().leased).toBe(3)
    await inTransaction.rollbackTransaction()
    for (const runner of runners) await runner.release()
    expect(poolOf(source).status().leased).toBe(0)
    await source.destroy()
  })

  test('runs its statements in order, also if they are not awaited', async ({ direct }) => {
    const source = await sharing(direct, { poolSize: 3 })
    const runner = source.createQueryRunner()
    const count = "select count(*)::int as it from entry where id = 'in order'"
    const answers = await Promise.all([
      runner.query(count),
      runner.query("insert into entry (id) values ('in order')"),
      runner.query(count),
      runner.query("delete from entry where id = 'in order'"),
    ])
    expect([answers[0], answers[2]]).toEqual([[{ it: 0 }], [{ it: 1 }]])
    await runner.release()
    await source.destroy()
  })

  test('wraps the errors of statements, and no others', async ({ direct }) => {
    const lines: unknown[] = []
    const note = (text: string): void => void lines.push(text)
    const ignore = (): void => {}
    const logger = {
      logQuery: note,
      logQueryError: note,
      logQuerySlow: ignore,
      logMigration: ignore,
      logSchemaBuild: ignore,
    }
    const source = await sharing(direct, { connectTimeoutMS: 500, logger: { ...logger, log: ignore }, logging: true })
    const failed = await rejection(source.query('select 1 / 0'))
    expect(failed).toBeInstanceOf(QueryFailedError)
    expect(failed.code).toBe('22012')
    expect(lines.at(-2)).toBe('select 1 / 0')
    const holder = source.createQueryRunner()
    await holder.startTransaction()
    expect(await rejection(source.query('select 1 as it'))).toBeInstanceOf(PoolTimeoutError)
    await holder.commitTransaction()
    await holder.release()
    await source.destroy()
  })
})
