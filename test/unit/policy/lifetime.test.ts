import { expect, test } from 'vitest'
import { expiryOf } from '../../../packages/core/src/policy/lifetime.ts'

const never = Number.POSITIVE_INFINITY

test.each([
  { lifetime: 60_000, jitter: 0.1, random: 0, expiry: 61_000 },
  { lifetime: 60_000, jitter: 0.1, random: 0.5, expiry: 58_000 },
  { lifetime: 60_000, jitter: 0.1, random: 1, expiry: 55_000 },
  { lifetime: 60_000, jitter: 0, random: 1, expiry: 61_000 },
  { lifetime: 60_000, jitter: 1, random: 0.5, expiry: 31_000 },
  { lifetime: never, jitter: 0.1, random: 0.9, expiry: never },
])('a life of $lifetime ms from 1000 on, jitter $jitter, ends at $expiry if chance says $random', (row) => {
  expect(expiryOf(1000, row.lifetime, row.jitter, row.random)).toBe(row.expiry)
})
