import { expect, test } from 'vitest'
import { expiryOf, reasonToRetire } from '../../../packages/core/src/policy/retirement.ts'

const NOW = 5000
const fine = { generation: 3, expiresAt: NOW + 1, uses: 6 }
const limits = { oldestGeneration: 3, maxUses: 7 }

test.each([
  { name: 'young, current and rarely used', facts: {}, reason: undefined },
  { name: 'opened before the last invalidation', facts: { generation: 2 }, reason: 'invalidated' },
  { name: 'at the end of its lifetime', facts: { expiresAt: NOW }, reason: 'expired' },
  { name: 'past the end of its lifetime', facts: { expiresAt: NOW - 1 }, reason: 'expired' },
  { name: 'leased as often as allowed', facts: { uses: 7 }, reason: 'max-uses' },
  { name: 'stale and expired and used up', facts: { generation: 0, expiresAt: 0, uses: 9 }, reason: 'invalidated' },
  { name: 'expired and used up', facts: { expiresAt: 0, uses: 9 }, reason: 'expired' },
])('retires a connection that is $name: $reason', ({ facts, reason }) => {
  expect(reasonToRetire({ ...fine, ...facts }, limits, NOW)).toBe(reason)
})

test('never retires a connection without limits', () => {
  const endless = { generation: 0, expiresAt: Number.POSITIVE_INFINITY, uses: Number.MAX_SAFE_INTEGER }
  expect(
    reasonToRetire(endless, { oldestGeneration: 0, maxUses: Number.POSITIVE_INFINITY }, Number.MAX_VALUE),
  ).toBeUndefined()
})

const never = Number.POSITIVE_INFINITY

test.each([
  { lifetime: 60_000, jitter: 0.1, random: 0, expiry: 61_000 },
  { lifetime: 60_000, jitter: 0.1, random: 0.5, expiry: 58_000 },
  { lifetime: 60_000, jitter: 0.1, random: 1, expiry: 55_000 },
  { lifetime: 60_000, jitter: 0, random: 1, expiry: 61_000 },
  { lifetime: 60_000, jitter: 1, random: 0.5, expiry: 31_000 },
  { lifetime: never, jitter: 0.1, random: 0.9, expiry: never },
])('a lifetime of $lifetime ms from 1000 on with jitter $jitter and random number $random ends at $expiry', (row) => {
  expect(expiryOf(1000, row.lifetime, row.jitter, row.random)).toBe(row.expiry)
})
