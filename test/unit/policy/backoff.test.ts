import { expect, test } from 'vitest'
import {
  FIRST_PACE,
  hooksMillis,
  longestLoginMillis,
  quickened,
  silenceMillis,
  UNPACED,
} from '../../../packages/core/src/policy/backoff.ts'

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

const ENDLESS = Number.POSITIVE_INFINITY

test.each([
  { deadline: 30_000, unreached: 2000, reached: 10_000, answered: 27_000 },
  { deadline: 9000, unreached: 2000, reached: 3000, answered: 8100 },
  { deadline: 5000, unreached: 1667, reached: 1667, answered: 4500 },
  { deadline: 1500, unreached: 1000, reached: 1000, answered: 1350 },
  { deadline: 500, unreached: 1000, reached: 1000, answered: 1000 },
  { deadline: 600_000, unreached: 2000, reached: 10_000, answered: 60_000 },
  { deadline: ENDLESS, unreached: 2000, reached: 10_000, answered: 60_000 },
])(
  'where callers wait $deadline ms a login may be silent for $unreached, $reached or $answered ms',
  ({ deadline, ...expected }) => {
    const [unreached, reached, answered] = (['unreached', 'reached', 'answered'] as const).map((stage) =>
      silenceMillis(stage, deadline, 0),
    )
    expect({ unreached, reached, answered }).toEqual(expected)
    expect(hooksMillis(deadline)).toBe(expected.answered)
  },
)

test.each([
  { inVain: 0, millis: 10_000 },
  { inVain: 1, millis: 20_000 },
  { inVain: 2, millis: 27_000 },
  { inVain: 9, millis: 27_000 },
])('after $inVain failed logins in a row a login may be silent for $millis ms', ({ inVain, millis }) => {
  expect(silenceMillis('reached', 30_000, inVain)).toBe(millis)
})

test.each([
  { deadline: 500, longest: 60_000 },
  { deadline: 90_000, longest: 90_000 },
  { deadline: ENDLESS, longest: 60_000 },
])('where callers wait $deadline ms a login may last $longest ms', ({ deadline, longest }) => {
  expect(longestLoginMillis('answered', deadline, false)).toBe(longest)
  expect(longestLoginMillis('reached', deadline, true)).toBe(longest)
})

test.each([
  [3000, 3000],
  [120_000, 60_000],
  [Number.POSITIVE_INFINITY, 60_000],
])(
  'with a deadline of %d ms a login that no caller waits for ends after %d ms if nothing has arrived',
  (deadline, longest) => {
    for (const stage of ['unreached', 'reached'] as const)
      expect(longestLoginMillis(stage, deadline, false)).toBe(longest)
  },
)
