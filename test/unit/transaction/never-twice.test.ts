import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { fakeTime, realTime } from '../../support/fake-clock.ts'
import { plans } from './model/plans.ts'
import { runPlan } from './model/run-plan.ts'

/**
 * Random transactions, faults and interleavings, with the real pool and the real driver on a model of the server. `npm test`
 * runs the same ones each time; HOLDFAST_RUNS sets how many new ones run. A failure prints a seed and a path, and
 *
 *     HOLDFAST_SEED=<seed> HOLDFAST_PATH=<path> npx vitest run --project unit test/unit/transaction/never-twice.test.ts
 *
 * replays it.
 */
const { HOLDFAST_RUNS, HOLDFAST_SEED, HOLDFAST_PATH } = process.env
const numRuns = Number(HOLDFAST_RUNS ?? 1000)
const seed = HOLDFAST_SEED ? Number(HOLDFAST_SEED) : HOLDFAST_RUNS ? undefined : 8_500_124

beforeEach(() => {
  fakeTime({ immediates: false })
  vi.spyOn(Math, 'random').mockReturnValue(0)
})

afterEach(() => {
  realTime()
})

test('a transaction that may have committed never runs again, and its caller is told the truth, whatever is lost in any order', {
  timeout: 120_000 + numRuns * 60,
}, async () => {
  const property = fc.asyncProperty(plans, async (plan) => {
    const { complaints, trace } = await runPlan(plan)
    expect(complaints, trace.join('\n')).toEqual([])
  })
  await fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(HOLDFAST_PATH && { path: HOLDFAST_PATH }),
  })
})
