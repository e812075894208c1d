import { describe, expect, test } from 'vitest'
import { CONDITIONS } from './single/conditions.ts'
import { FAULTS } from './single/faults.ts'
import { renderSingleReport } from './single/report.ts'
import { NOTHING_WRONG, runSingle } from './single/run.ts'

/** 3000 in all. `npm run commits` takes more, and other seeds. */
const WRITES = Math.ceil(3000 / CONDITIONS.length / FAULTS.length)

describe.concurrent('single writes while their sessions end', () => {
  test.for(CONDITIONS)(
    'Holdfast tells the truth about every single write while sessions end, with $name',
    async (condition) => {
      await using place = await condition.open()
      for (const [index, fault] of FAULTS.entries()) {
        const report = await runSingle(place, { seed: 700 + index, count: WRITES, fault })
        expect(report.wrong, renderSingleReport(fault.name, report)).toEqual(NOTHING_WRONG)
      }
    },
  )
})
