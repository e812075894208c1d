import { describe, expect, test } from 'vitest'
import {
  judgeVerdict,
  type ServerIdentity,
  type ServerState,
  type XidStatus,
} from '../../../packages/core/src/commit/verdict.ts'
import { ASKED, SERVER } from './identity.ts'

const STATUSES: readonly XidStatus[] = ['committed', 'aborted', 'in progress', 'future', null]

/** The same server with these changes. The session that asks is another, so its pid and start prove nothing. */
function stateWith(changes: Partial<ServerIdentity> = {}, next = '2000', isFirstCheckpoint = false): ServerState {
  return {
    server: { ...SERVER, backendPid: 43, backendStart: '1700000009.1', ...changes },
    nextTransactionId: next,
    isFirstCheckpoint,
  }
}

const CLEANLY_RESTARTED = { postmasterStart: '1700000001.5' }
const CRASHED = { postmasterStart: '1700000001.5', statisticsStart: '1700000001.9' }
const CRASHED_BY_A_SESSION = { statisticsStart: '1700000001.9' }
/** Every pair of what the last checkpoint knew, and whether it is the first. */
const CHECKPOINTS = ['999', '1000', '1001', '2000'].flatMap((next) => [true, false].map((first) => ({ next, first })))

describe('on the same server', () => {
  test.each([
    ['committed', 'committed'],
    ['aborted', 'aborted'],
    ['in progress', 'in progress'],
    ['future', { unknown: 'the server has never heard of the transaction' }],
    [null, { unknown: 'the transaction is too old: the server has forgotten its outcome' }],
  ] as const)('on the same server %s gives the verdict %j, whatever the checkpoints are', (status, verdict) => {
    for (const { next, first } of CHECKPOINTS)
      expect(judgeVerdict(ASKED, stateWith({}, next, first), status)).toEqual(verdict)
  })

  test.each([
    ['committed', 'committed'],
    ['aborted', 'aborted'],
  ] as const)('on the same server, the status %s is believed after clean restarts', (status, verdict) => {
    for (const { next, first } of CHECKPOINTS)
      expect(judgeVerdict(ASKED, stateWith(CLEANLY_RESTARTED, next, first), status)).toBe(verdict)
  })

  test('on the same server, an id that it has not seen is unknown after a clean restart', () => {
    expect(judgeVerdict(ASKED, stateWith(CLEANLY_RESTARTED), 'future')).toHaveProperty('unknown')
  })
})

describe.each([
  ['after a crash of the server', CRASHED],
  ['after a crash of one session, which the postmaster survived', CRASHED_BY_A_SESSION],
] as const)('%s', (_, changes) => {
  test.each(['aborted', 'future'] as const)(
    'the status %s means aborted, whichever transaction has the id',
    (status) => {
      for (const { next, first } of CHECKPOINTS)
        expect(judgeVerdict(ASKED, stateWith(changes, next, first), status)).toBe('aborted')
    },
  )

  test('a transaction whose outcome the server no longer keeps is unknown', () => {
    expect(judgeVerdict(ASKED, stateWith(changes), null)).toHaveProperty('unknown')
  })
})

test.each(['committed', 'in progress'] as const)(
  'after a crash and a restart that did not know the id, the status %s is of another transaction: aborted',
  (status) => {
    expect(judgeVerdict(ASKED, stateWith(CRASHED, '999', true), status)).toBe('aborted')
    expect(judgeVerdict(ASKED, stateWith(CRASHED, '1000', true), status)).toBe('aborted')
  },
)

test('after a crash, committed may be said of a later transaction: unknown', () => {
  for (const { next, first } of CHECKPOINTS.filter((each) => !each.first || BigInt(each.next) > 1000n))
    expect(judgeVerdict(ASKED, stateWith(CRASHED, next, first), 'committed')).toEqual({
      unknown: expect.stringContaining('has crashed since'),
    })
})

test('after the crash of a session, committed is unknown', () => {
  for (const { next, first } of CHECKPOINTS)
    expect(judgeVerdict(ASKED, stateWith(CRASHED_BY_A_SESSION, next, first), 'committed')).toHaveProperty('unknown')
})

test('after a crash and a restart, a transaction in progress is another one: aborted', () => {
  expect(judgeVerdict(ASKED, stateWith(CRASHED), 'in progress')).toBe('aborted')
})

test('after the crash of a session, a transaction in progress is asked about again', () => {
  for (const { next, first } of CHECKPOINTS)
    expect(judgeVerdict(ASKED, stateWith(CRASHED_BY_A_SESSION, next, first), 'in progress')).toBe('in progress')
})

test.each([
  ['another system', { systemIdentifier: '7000000000000000002' }, 'the server is another system'],
  ['another timeline', { timeline: '00000002' }, 'the server has failed over: timeline 00000001 has become 00000002'],
  [
    'another system on another timeline',
    { systemIdentifier: '7000000000000000002', timeline: '00000002' },
    'the server is another system',
  ],
] as const)('believes nothing that %s says', (_, changes, unknown) => {
  for (const start of [{}, CLEANLY_RESTARTED, CRASHED])
    for (const status of STATUSES)
      for (const { next, first } of CHECKPOINTS)
        expect(judgeVerdict(ASKED, stateWith({ ...start, ...changes }, next, first), status)).toEqual({ unknown })
})

test('compares ids as numbers of 64 bits', () => {
  const asked = { ...ASKED, transactionId: '18446744073709551614' }
  expect(judgeVerdict(asked, stateWith(CRASHED, '9', true), 'committed')).toBe('aborted')
  expect(judgeVerdict(asked, stateWith(CRASHED, '18446744073709551615', true), 'committed')).toHaveProperty('unknown')
})
