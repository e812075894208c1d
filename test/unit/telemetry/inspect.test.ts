import { expect, test } from 'vitest'
import { type ConnectionFacts, inspectionOf } from '../../../packages/core/src/telemetry/status.ts'

const FACTS: ConnectionFacts = {
  id: 3,
  state: 'idle',
  backendPid: 1234,
  endpoint: { host: 'h1', port: 5433 },
  session: { isDirect: true },
  serverRole: { role: 'standby' },
  openedAt: 1000,
  idleSince: 5000,
  lease: { since: 4000, stack: 'Error\n    at handler' },
  statements: { use: { label: 'checkout', statement: 'select ?', transaction: 'open' } },
  uses: 2,
  liveness: { suspect: false, slow: undefined },
}

test('an idle connection shows how long it has been idle, and no lease', () => {
  expect(inspectionOf(FACTS, 6000)).toEqual({
    id: 3,
    state: 'idle',
    channels: undefined,
    backendPid: 1234,
    host: 'h1',
    port: 5433,
    role: 'standby',
    isDirect: true,
    ageMillis: 5000,
    idleMillis: 1000,
    uses: 2,
    heldMillis: undefined,
    label: undefined,
    statement: undefined,
    transaction: undefined,
    holder: undefined,
    isSuspect: false,
    slow: undefined,
  })
})

test('a leased connection shows how long it has been leased, and where', () => {
  expect(inspectionOf({ ...FACTS, state: 'leased' }, 6000)).toMatchObject({
    idleMillis: undefined,
    heldMillis: 2000,
    label: 'checkout',
    statement: 'select ?',
    transaction: 'open',
    holder: 'Error\n    at handler',
  })
})

test.each(['checking', 'resetting', 'closing', 'closed'] as const)(
  'a connection that is %s is neither idle nor held',
  (state) => {
    expect(inspectionOf({ ...FACTS, state }, 6000)).toMatchObject({
      ageMillis: 5000,
      idleMillis: undefined,
      heldMillis: undefined,
      holder: undefined,
    })
  },
)

test('a connection that is being opened has no age', () => {
  const opening = { ...FACTS, state: 'opening', openedAt: undefined, backendPid: null, uses: 0 } as const
  expect(inspectionOf(opening, 6000)).toMatchObject({ ageMillis: 0, backendPid: null, idleMillis: undefined })
})

test('a connection whose death is likely is suspect', () => {
  expect(inspectionOf({ ...FACTS, liveness: { suspect: true, slow: undefined } }, 6000).isSuspect).toBe(true)
})

test('a leased connection shows what the server says of its slow statement', () => {
  const slow = { silentMillis: 800, waitEventType: 'Lock', waitEvent: 'relation', blockedBy: [17] }
  const liveness = { suspect: false, slow }
  expect(inspectionOf({ ...FACTS, state: 'leased', liveness }, 6000).slow).toEqual(slow)
  expect(inspectionOf({ ...FACTS, liveness }, 6000).slow).toBeUndefined()
})
