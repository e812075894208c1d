import { describe, expect } from 'vitest'
import { expectAllTrue } from '../commits/random/expect-true.ts'
import { holdfastPayer, stockPayer } from '../commits/random/payers.ts'
import { renderReport } from '../commits/random/report.ts'
import { run } from '../commits/random/run.ts'
import { test } from '../commits/support/commit-test.ts'

const TRANSFERS = 100

describe('transfers while everything breaks', { timeout: 180_000 }, () => {
  test.for([102, 103])('Holdfast: every answer is true (seed %i)', async (seed, { cluster }) => {
    expectAllTrue(await run(cluster, { seed, count: TRANSFERS, payer: holdfastPayer }))
  })

  test('pg.Pool, run again by hand: some are written twice', async ({ cluster }) => {
    const report = await run(cluster, { seed: 101, count: 6 * TRANSFERS, payer: stockPayer })
    expect(report.wrong.doubled.length, renderReport(report)).toBeGreaterThan(0)
  })
})
