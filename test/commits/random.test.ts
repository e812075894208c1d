import { describe, expect } from 'vitest'
import { holdfastPayer, stockPayer } from './random/payers.ts'
import { renderReport } from './random/report.ts'
import { NOTHING_WRONG, type Report, run } from './random/run.ts'
import { test } from './support/commit-test.ts'

/** Enough for every kind of fault; `npm run commits` takes more, and other seeds. */
const TRANSFERS = 100

/** An id may be used again after a crash, before the outcome of its first transaction could be asked for. */
const EXCUSE = /crashed since/

/** What was ended because it took too long isn't run again by itself. It is told so, and nothing is written. */
const TOO_SLOW = /before COMMIT was sent\): Query read timeout/

function expectAllTrue(report: Report): void {
  expect(report.wrong, renderReport(report)).toEqual(NOTHING_WRONG)
  for (const reason of report.unknown.keys()) expect(reason, renderReport(report)).toMatch(EXCUSE)
  for (const reason of report.failed.keys()) expect(reason, renderReport(report)).toMatch(TOO_SLOW)
}

// Some faults last for seconds: on a busy machine a run takes a minute.
describe('transfers while everything breaks', { timeout: 180_000 }, () => {
  test.for([101, 102])('Holdfast: every answer is true (seed %i)', async (seed, { cluster }) => {
    expectAllTrue(await run(cluster, { seed, count: TRANSFERS, payer: holdfastPayer }))
  })

  test('pg.Pool, run again by hand: some are written twice', async ({ cluster }) => {
    const report = await run(cluster, { seed: 101, count: 6 * TRANSFERS, payer: stockPayer })
    expect(report.wrong.doubled.length, renderReport(report)).toBeGreaterThan(0)
  })
})
