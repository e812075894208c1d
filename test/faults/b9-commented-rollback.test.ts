import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { NotEnoughMoney, refusedTransaction } from './support/refused-transaction.ts'
import { rejection } from './support/settling.ts'

/** What a tracing wrapper (sqlcommenter, Query Insights) makes of the BEGIN of an ORM. */
const COMMENTED_BEGIN = "/* app='web' */ begin"

describe('ROLLBACK with a comment on a lost connection', () => {
  test("stock pg.Pool: the error of a commented ROLLBACK hides the application's", async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    expect(
      await rejection(refusedTransaction(pool, cluster, { begin: COMMENTED_BEGIN, rollback: 'rollback' })),
    ).not.toBeInstanceOf(NotEnoughMoney)
  })

  test.for([
    "rollback /* app='web' */",
    "/* app='web' */ rollback",
    '-- web\nrollback',
    '/* /* web */ */ rollback; -- done',
    'abort work and no chain',
  ])(
    "Holdfast: the application's own error survives a ROLLBACK with a comment (%s)",
    async (rollback, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      expect(await rejection(refusedTransaction(pool, cluster, { begin: COMMENTED_BEGIN, rollback }))).toBeInstanceOf(
        NotEnoughMoney,
      )
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )
})
