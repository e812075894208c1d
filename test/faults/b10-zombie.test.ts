import type { Transaction } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { rejection } from './support/settling.ts'

const INSERT = 'insert into entry values ($1)'

describe("a transaction's function runs on when its connection is gone", () => {
  test("stock pg.Pool: a function that runs on when its connection is gone writes into a stranger's transaction", async ({
    cluster,
    direct,
  }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const zombie = await pool.connect()
    await zombie.query('begin')
    await zombie.query('commit')
    zombie.release()
    const next = await pool.connect()
    await next.query('begin')
    await zombie.query(INSERT, ['acknowledged, stock'])
    await next.query('rollback')
    next.release()
    expect(await cluster.query("select from entry where id = 'acknowledged, stock'")).toEqual([])
  })

  test('Holdfast: a function that runs on after a loss touches no other session', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    let zombie: Transaction | undefined
    let isOver = false
    const runningOn: Promise<Error>[] = []
    const transaction = pool.transaction(async (tx) => {
      zombie = tx
      await cluster.terminateBackends({ pid: await backendPid(tx as never) })
      await rejection(tx.query('select 1'))
      // Goes on as if nothing had happened.
      runningOn.push(rejection(tx.query(INSERT, ['acknowledged, lost'])))
      await Promise.all(runningOn)
      isOver = true
    })
    expect(await rejection(transaction)).toMatchObject({ name: 'ConnectionLostError', commitOutcome: 'aborted' })
    expect(isOver).toBe(true)
    expect(await runningOn[0]).toMatchObject({ name: 'ConnectionLostError', sent: false })

    const next = await pool.connect()
    await next.query('begin')
    expect(await rejection((zombie as unknown as Transaction).query(INSERT, ['acknowledged, late']))).toMatchObject({
      code: 'HOLDFAST_TRANSACTION_STATE',
    })
    await next.query(INSERT, ["the next one's own"])
    await next.query('commit')
    next.release()
    const ids = (await cluster.query<{ id: string }>('select id from entry')).map(({ id }) => id)
    expect(ids).toContain("the next one's own")
    for (const id of ['acknowledged, lost', 'acknowledged, late']) expect(ids).not.toContain(id)
    await until(() => pool.idleCount === 1)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
