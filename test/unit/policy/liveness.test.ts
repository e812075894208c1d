import { expect, test } from 'vitest'
import { mustPing } from '../../../packages/core/src/policy/liveness.ts'

const NOW = 10_000
const prePing = { idleMillis: 500, timeoutMillis: 1000 }

test.each([
  { name: 'heard from just now', answeredAt: NOW, suspect: false, prePing, pings: false },
  { name: 'heard from shortly before idleMillis', answeredAt: NOW - 499, suspect: false, prePing, pings: false },
  { name: 'not heard from for idleMillis', answeredAt: NOW - 500, suspect: false, prePing, pings: true },
  { name: 'heard from just now, but suspect', answeredAt: NOW, suspect: true, prePing, pings: true },
  {
    name: 'heard from just now, idleMillis 0',
    answeredAt: NOW,
    suspect: false,
    prePing: { ...prePing, idleMillis: 0 },
    pings: true,
  },
  { name: 'silent for long, prePing false', answeredAt: 0, suspect: false, prePing: false as const, pings: false },
  { name: 'suspect, prePing false', answeredAt: NOW, suspect: true, prePing: false as const, pings: false },
])('pings a connection $name: $pings', ({ answeredAt, suspect, prePing, pings }) => {
  expect(mustPing({ answeredAt, suspect }, prePing, NOW)).toBe(pings)
})
