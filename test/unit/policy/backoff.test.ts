import { expect, test } from 'vitest'
import { attemptMillis, FIRST_PACE, quickened, UNPACED } from '../../../packages/core/src/policy/backoff.ts'

test.each([
  { max: 1, paces: [UNPACED] },
  { max: 2, paces: [2, UNPACED] },
  { max: 10, paces: [2, 4, 8, 16, UNPACED] },
])('the pace doubles with each success until it is past max $max, then there is none', ({ max, paces }) => {
  let pace = FIRST_PACE
  const seen = paces.map(() => {
    pace = quickened(pace, max)
    return pace
  })
  expect(seen).toEqual(paces)
})

test.each([
  { deadline: 30_000, attempt: 10_000 },
  { deadline: 9000, attempt: 3000 },
  { deadline: 1500, attempt: 1000 },
  { deadline: 500, attempt: 500 },
  { deadline: 600_000, attempt: 10_000 },
  { deadline: Number.POSITIVE_INFINITY, attempt: 10_000 },
])('one attempt may take $attempt ms where callers wait $deadline ms', ({ deadline, attempt }) => {
  expect(attemptMillis(deadline, 0)).toBe(attempt)
})

test('an attempt lasts a whole number of milliseconds, since its error tells how many', () => {
  expect(Number.isInteger(attemptMillis(10_000, 0))).toBe(true)
})

test.each([
  { silentAttempts: 0, attempt: 10_000 },
  { silentAttempts: 1, attempt: 20_000 },
  { silentAttempts: 2, attempt: 30_000 }, // Not beyond the deadline.
  { silentAttempts: 9, attempt: 30_000 },
])('after $silentAttempts attempts without an answer the next may take $attempt ms', ({ silentAttempts, attempt }) => {
  expect(attemptMillis(30_000, silentAttempts)).toBe(attempt)
})
