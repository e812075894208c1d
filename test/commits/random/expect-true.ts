import { expect } from 'vitest'
import { renderReport } from './report.ts'
import { NOTHING_WRONG, type Report } from './run.ts'

/** An id may be used again after a crash, before the outcome of its first transaction could be asked for. */
const EXCUSE = /crashed since/

/** What was ended because it took too long isn't run again by itself. It is told so, and nothing is written. */
const TOO_SLOW = /before COMMIT was sent\): Query read timeout/

/** Every answer that the payers got is true. */
export function expectAllTrue(report: Report): void {
  expect(report.wrong, renderReport(report)).toEqual(NOTHING_WRONG)
  for (const reason of report.unknown.keys()) expect(reason, renderReport(report)).toMatch(EXCUSE)
  for (const reason of report.failed.keys()) expect(reason, renderReport(report)).toMatch(TOO_SLOW)
}
