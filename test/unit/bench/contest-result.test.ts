import { expect, test } from 'vitest'
import type { Contest, Metric } from '../../../bench/src/contest.ts'
import type { ContestantName } from '../../../bench/src/contestants.ts'
import { contestResults, missesGoal, ratiosPerRound } from '../../../bench/src/results/contest-result.ts'
import { spreadOf } from '../../../bench/src/results/spread.ts'

const SPEED: Metric = { name: 'speed', unit: '/s', better: 'more' }

/** Results of a contest that Holdfast wants to win by a factor of 2, from what was measured round by round. */
function results(measured: Partial<Record<ContestantName, readonly number[]>>) {
  const names = Object.keys(measured) as ContestantName[]
  const contest: Contest = {
    name: 'a contest',
    metrics: [SPEED],
    contestants: names.map((name) => ({ name, enter: () => Promise.reject(new Error('Nobody is measured here')) })),
    goals: [{ metric: 'speed', peer: 'pg-pool', atLeast: 2 }],
  }
  const samples = new Map(names.map((name) => [name, measured[name]?.map((speed) => ({ speed })) ?? []]))
  return contestResults('a benchmark', contest, samples)
}

test('a ratio above 1 means that Holdfast is better, whichever way is better', () => {
  expect(ratiosPerRound([30], [10], 'more')).toEqual([3])
  expect(ratiosPerRound([10], [30], 'less')).toEqual([3])
})

test('compares what was measured in the same round, so that a busy moment hits both', () => {
  const [result] = results({ holdfast: [200, 20, 100], 'pg-pool': [100, 10, 50] })
  expect(result?.ratios).toEqual([
    {
      peer: 'pg-pool',
      spread: { lowerQuartile: 2, median: 2, upperQuartile: 2 },
      goal: { atLeast: 2, isMet: true },
    },
  ])
})

test('a goal is missed by what the table shows, not by what it hides', () => {
  expect(results({ holdfast: [199.6], 'pg-pool': [100] }).some(missesGoal)).toBe(false)
  expect(results({ holdfast: [199.4], 'pg-pool': [100] }).some(missesGoal)).toBe(true)
})

test('a peer without a goal misses none', () => {
  const [result] = results({ holdfast: [1], tarn: [100] })
  expect(result?.ratios).toMatchObject([{ peer: 'tarn', goal: undefined }])
  expect([result].some((some) => some && missesGoal(some))).toBe(false)
})

test('there is no ratio when Holdfast takes no part, and none when it is alone', () => {
  expect(results({ 'pg-pool': [1], tarn: [2] })[0]?.ratios).toEqual([])
  expect(results({ holdfast: [1] })[0]?.ratios).toEqual([])
})

test('a single wild round moves neither the median nor the quartiles', () => {
  expect(spreadOf([1, 2, 3, 4, 1000])).toEqual({ lowerQuartile: 2, median: 3, upperQuartile: 4 })
})
