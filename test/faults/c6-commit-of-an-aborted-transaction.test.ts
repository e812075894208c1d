import type pg from 'pg'
import { describe, expect } from 'vitest'
import type { Cluster } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { rejection } from './support/settling.ts'

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

/** A transaction that tries something, goes on when that fails, and commits. */
async function swallows(pool: pg.Pool, id: string, commit: string): Promise<pg.QueryResult> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('insert into entry values ($1)', [id])
    await client.query('select 1 / 0').catch(() => {})
    return await client.query(commit)
  } finally {
    client.release()
  }
}

const ROLLED_BACK = {
  name: 'TransactionRolledBackError',
  code: '40000',
  cause: { code: '22012', message: 'division by zero' },
}
const COMMITS = ['COMMIT', 'commit;', 'end', 'commit transaction']

describe('COMMIT of a transaction that a swallowed error had aborted', () => {
  test('stock pg.Pool: COMMIT after a swallowed error succeeds, and writes nothing', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    expect(await swallows(pool, 'stock', 'COMMIT')).toMatchObject({ command: 'ROLLBACK' })
    expect(await isWritten(cluster, 'stock')).toBe(false)
  })

  test.for(COMMITS)(
    'Holdfast: COMMIT after a swallowed error rejects with that error, through pool.connect (%s)',
    async (commit, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const pid = await backendPid(pool)
      expect(await rejection(swallows(pool, commit, commit))).toMatchObject(ROLLED_BACK)
      expect(await isWritten(cluster, commit)).toBe(false)
      expect(await backendPid(pool)).toBe(pid)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: pool.transaction rejects with the error that was swallowed', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const pid = await backendPid(pool)
    const error = await rejection(
      pool.transaction(async (tx) => {
        await tx.query("insert into entry values ('transaction')")
        await tx.query('select 1 / 0').catch(() => {})
        // What fails in its wake is not the cause.
        expect(await rejection(tx.query('select 1'))).toMatchObject({ code: '25P02', cause: { code: '22012' } })
        return 'success'
      }),
    )
    expect(error).toMatchObject(ROLLED_BACK)
    expect(await isWritten(cluster, 'transaction')).toBe(false)
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: COMMIT succeeds after an error that a savepoint has undone', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      await tx.query("insert into entry values ('undone')")
      await tx.savepoint((sp) => sp.query('select 1 / 0')).catch(() => {})
    })
    expect(await isWritten(cluster, 'undone')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
