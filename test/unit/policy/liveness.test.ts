import { expect, test } from 'vitest'
import { proofDue } from '../../../packages/core/src/policy/liveness.ts'

const NOW = 10_000
const prePing = { idleMillis: 500, timeoutMillis: 1000 }

test.each([
  { name: 'fresh', answeredAt: NOW, suspect: false, prePing, pings: false },
  { name: 'silent for less than idleMillis', answeredAt: NOW - 499, suspect: false, prePing, pings: false },
  { name: 'silent for idleMillis', answeredAt: NOW - 500, suspect: false, prePing, pings: true },
  { name: 'suspect, though it answered just now', answeredAt: NOW, suspect: true, prePing, pings: true },
  {
    name: 'fresh, with idleMillis 0',
    answeredAt: NOW,
    suspect: false,
    prePing: { ...prePing, idleMillis: 0 },
    pings: true,
  },
  { name: 'silent for long, with prePing false', answeredAt: 0, suspect: false, prePing: false as const, pings: false },
  { name: 'suspect, with prePing false', answeredAt: NOW, suspect: true, prePing: false as const, pings: false },
])('pings a connection that is $name: $pings', ({ answeredAt, suspect, prePing, pings }) => {
  expect(proofDue({ answeredAt, suspect }, prePing, NOW, () => false)).toBe(pings ? 'ping' : undefined)
})

test.each([
  { name: 'that answered some time ago', answeredAt: NOW - 26, suspect: false, prePing, proof: 'read' },
  { name: 'fresh', answeredAt: NOW - 25, suspect: false, prePing, proof: undefined },
  { name: 'that must be pinged in any case', answeredAt: NOW - 500, suspect: false, prePing, proof: 'ping' },
  { name: 'that is never pinged', answeredAt: 0, suspect: true, prePing: false as const, proof: 'read' },
])('after a block of the event loop a connection ($name) owes: $proof', ({ answeredAt, suspect, prePing, proof }) => {
  expect(proofDue({ answeredAt, suspect }, prePing, NOW, () => true)).toBe(proof)
})

test("asks whether the event loop was blocked only if the connection's last answer isn't fresh", () => {
  const isBehind = (): never => {
    throw new Error('Asked')
  }
  expect(proofDue({ answeredAt: NOW, suspect: false }, prePing, NOW, isBehind)).toBeUndefined()
})
