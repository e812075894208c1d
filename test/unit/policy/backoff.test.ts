import { expect, test } from 'vitest'
import {
  FIRST_PACE,
  hooksMillis,
  longestLoginMillis,
  pauseMillis,
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
  { deadline: 30_000, unreached: 1000, reached: 1000, answered: 5000, hooks: 27_000 },
  { deadline: 5000, unreached: 1000, reached: 1000, answered: 4500, hooks: 4500 },
  { deadline: 1500, unreached: 1000, reached: 1000, answered: 1350, hooks: 1350 },
  { deadline: 500, unreached: 1000, reached: 1000, answered: 1000, hooks: 1000 },
  { deadline: 600_000, unreached: 1000, reached: 1000, answered: 5000, hooks: 60_000 },
  { deadline: ENDLESS, unreached: 1000, reached: 1000, answered: 5000, hooks: 60_000 },
])(
  'where callers wait $deadline ms a login may be silent for $unreached, $reached or $answered ms, and hooks may take $hooks ms',
  ({ deadline, hooks, ...expected }) => {
    const [unreached, reached, answered] = (['unreached', 'reached', 'answered'] as const).map((stage) =>
      silenceMillis(stage, deadline, 0),
    )
    expect({ unreached, reached, answered }).toEqual(expected)
    expect(hooksMillis(deadline)).toBe(hooks)
  },
)

test.each([
  { inVain: 0, millis: 1000 },
  { inVain: 1, millis: 2000 },
  { inVain: 4, millis: 16_000 },
  { inVain: 5, millis: 27_000 },
  { inVain: 9, millis: 27_000 },
])('after $inVain failed logins in a row a login may be silent for $millis ms', ({ inVain, millis }) => {
  expect(silenceMillis('reached', 30_000, inVain)).toBe(millis)
  expect(silenceMillis('unreached', 30_000, inVain)).toBe(Math.min(millis, 4000))
})

const RETRY = { retries: ENDLESS, minTimeout: 50, maxTimeout: 1000, factor: 2, randomize: true }

test.each([
  { what: 'by the default', retry: RETRY, random: 0, backoff: [50, 100, 200, 400, 800, 1000, 1000] },
  { what: 'spread by chance', retry: RETRY, random: 0.5, backoff: [75, 150, 300, 600, 1000, 1000] },
  { what: 'not spread', retry: { ...RETRY, randomize: false }, random: 0.9, backoff: [50, 100, 200, 400] },
  { what: 'with a short maximum', retry: { ...RETRY, maxTimeout: 60 }, random: 0, backoff: [50, 60, 60] },
])('the pauses after failures to connect, $what: $backoff', ({ retry, random, backoff }) => {
  expect(backoff.map((_, index) => pauseMillis(retry, index + 1, false, random))).toEqual(backoff)
})

test.each([
  { what: 'by the default', retry: RETRY, random: 0, pauses: [50, 100, 200, 200, 200] },
  { what: 'spread by chance', retry: RETRY, random: 0.5, pauses: [75, 150, 150, 150] },
  { what: 'spread by chance to the full', retry: RETRY, random: 0.99, pauses: [100, 101, 101] },
  { what: 'not spread', retry: { ...RETRY, randomize: false }, random: 0.9, pauses: [50, 100, 200, 200] },
  { what: 'no shorter than the user wants', retry: { ...RETRY, minTimeout: 700 }, random: 0, pauses: [700, 700] },
])('the pauses while a server refuses at once, $what: $pauses', ({ retry, random, pauses }) => {
  expect(pauses.map((_, index) => pauseMillis(retry, index + 1, true, random))).toEqual(pauses)
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
