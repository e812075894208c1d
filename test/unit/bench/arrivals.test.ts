import { expect, test } from 'vitest'
import { Arrivals, type Pace } from '../../../bench/src/mixed/arrivals.ts'

const PACE: Pace = { callers: 4, turnsPerSecond: 100, groupOf: 2 }

test('callers of a mixed load arrive in groups, each once in its interval; a late turn counts since it was due', async () => {
  const from = performance.now() - 10_000 // So all of them are late.
  const due = await Promise.all(
    [0, 1, 2, 3].map(async (index) => {
      const arrivals = new Arrivals(PACE, index, from)
      return [(await arrivals.next()) - from, (await arrivals.next()) - from].map(Math.round)
    }),
  )
  expect(due).toEqual([
    [0, 40],
    [0, 40],
    [20, 60],
    [20, 60],
  ])
})

test('a turn that is not due is waited for', async () => {
  const from = performance.now()
  const arrivals = new Arrivals(PACE, 2, from)
  expect((await arrivals.next()) - from).toBeGreaterThanOrEqual(20)
})
