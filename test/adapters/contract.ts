import { describe } from 'vitest'
import { describeAcquire } from './contract/acquire.ts'
import { describeGivenUp } from './contract/given-up.ts'
import { describeHarmless } from './contract/harmless.ts'
import { describeIdle } from './contract/idle.ts'
import { describeKilled } from './contract/killed.ts'
import { describeLostCommit } from './contract/lost-commit.ts'
import { describeOutlived } from './contract/outlived.ts'
import { describeRetry } from './contract/retry.ts'
import { describeReturned } from './contract/returned.ts'
import { describeSilent } from './contract/silent.ts'
import { describeStalled } from './contract/stalled.ts'
import { describeStreaming } from './contract/streaming.ts'
import type { Subject } from './subject.ts'

/**
 * What every ORM must pass on our pool, by its public API and without any listener: SCENARIOS A to E. The names of the
 * tests begin with the scenarios' ids.
 */
export function describeContract(subject: Subject): void {
  describe(subject.name, () => {
    describeIdle(subject)
    describeKilled(subject)
    describeStalled(subject)
    describeSilent(subject)
    describeStreaming(subject)
    describeHarmless(subject)
    describeLostCommit(subject)
    describeRetry(subject)
    describeGivenUp(subject)
    describeOutlived(subject)
    describeReturned(subject)
    describeAcquire(subject)
  })
}
