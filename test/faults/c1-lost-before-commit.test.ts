import { ConnectionLostError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, warmUp } from './support/pools.ts'
import { rejection } from './support/settling.ts'

async function count(cluster: Cluster, id: string): Promise<number> {
  return (await cluster.query('select from entry where id = $1', [id])).length
}

async function kill(cluster: Cluster, pid: number): Promise<void> {
  await cluster.terminateBackends({ pid })
  await until(async () => (await cluster.countSessions({ pid })) === 0)
}

describe('a transaction whose connection is lost before COMMIT was sent', () => {
  test("stock pg.Pool: a transaction lost before COMMIT is the caller's error", async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('c1-stock')")
    await kill(cluster, await backendPid(client))
    await rejection(client.query("insert into entry values ('c1-stock-2')"))
    client.release()
    expect(await count(cluster, 'c1-stock')).toBe(0)
  })

  test('Holdfast: a transaction lost before COMMIT runs again on a new connection', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    await warmUp(pool, 3)
    const seen: [attempt: number, pid: number][] = []
    const result = await pool.transaction(async (tx) => {
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
      const pid = rows[0]?.pid as number
      seen.push([tx.attempt, pid])
      await tx.query("insert into entry values ('c1')")
      if (tx.attempt === 1) await kill(cluster, pid)
      await tx.query("insert into entry values ('c1-second')")
      return tx.attempt
    })
    expect(result).toBe(2)
    expect(seen.map(([attempt]) => attempt)).toEqual([1, 2])
    expect(seen[0]?.[1]).not.toBe(seen[1]?.[1])
    expect([await count(cluster, 'c1'), await count(cluster, 'c1-second')]).toEqual([1, 1])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: one that is lost between its last statement and COMMIT runs again', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    let attempts = 0
    await pool.transaction(async (tx) => {
      await tx.query("insert into entry values ('c1-between')")
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
      if (++attempts === 1) {
        await kill(cluster, rows[0]?.pid as number)
        await until(() => pool.totalCount === 0, { what: 'the pool to hear of it' })
      }
    })
    expect([attempts, await count(cluster, 'c1-between')]).toEqual([2, 1])
  })

  test('Holdfast: a transaction is run again through a restart of the server', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    const attempt = await pool.transaction(async (tx) => {
      await tx.query("insert into entry values ('c1-restart')")
      if (tx.attempt === 1) await cluster.restart('immediate')
      await tx.query('select 1')
      return tx.attempt
    })
    expect([attempt, await count(cluster, 'c1-restart')]).toEqual([2, 1])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("Holdfast: a transaction that may run only once isn't run again", async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    let attempts = 0
    const error = await rejection(
      pool.transaction(
        async (tx) => {
          attempts++
          const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
          await kill(cluster, rows[0]?.pid as number)
          await tx.query('select 1')
        },
        { retry: false },
      ),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect([error.commitOutcome, attempts]).toEqual(['aborted', 1])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
