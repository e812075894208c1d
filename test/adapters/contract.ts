import { describe } from 'vitest'
import { describeIdle } from './contract/idle.ts'
import type { Subject } from './subject.ts'

/**
 * What every ORM must pass on our pool, by its public API and without any listener: SCENARIOS A to E. The names of the
 * tests begin with its rows.
 */
export function describeContract(subject: Subject): void {
  describe(subject.name, () => {
    describeIdle(subject)
  })
}
