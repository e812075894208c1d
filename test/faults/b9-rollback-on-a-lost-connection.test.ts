import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { NotEnoughMoney, refusedTransaction } from './support/refused-transaction.ts'
import { rejection } from './support/settling.ts'

const ROLLBACKS = ['rollback', 'ROLLBACK;', 'rollback transaction', 'abort', 'rollback to savepoint sp1']

describe('ROLLBACK on a lost connection', () => {
  test("stock pg.Pool: the error of ROLLBACK hides the application's after a loss", async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    expect(await rejection(refusedTransaction(pool, cluster, { rollback: 'rollback' }))).not.toBeInstanceOf(
      NotEnoughMoney,
    )
  })

  test.for(ROLLBACKS)(
    "Holdfast: the application's own error survives ROLLBACK on a lost connection (%s)",
    async (rollback, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      expect(await rejection(refusedTransaction(pool, cluster, { rollback }))).toBeInstanceOf(NotEnoughMoney)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast: after a loss COMMIT PREPARED and ROLLBACK AND CHAIN are refused', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    for (const statement of ['rollback and chain', "rollback prepared 'x'", 'rollback; select 1'])
      expect(await rejection(refusedTransaction(pool, cluster, { rollback: statement }))).toMatchObject({
        name: 'ConnectionLostError',
      })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
