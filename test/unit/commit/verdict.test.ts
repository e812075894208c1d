import { describe, expect, test } from 'vitest'
import {
  fence,
  judgeVerdict,
  type ReportedState,
  type ReportedXidStatus,
  readServer,
  type ServerIdentity,
  sessionQuery,
  type TransactionIdentity,
  terminateSessionQuery,
  xidStatusQuery,
} from '../../../packages/core/src/commit/verdict.ts'

const SERVER: ServerIdentity = {
  backendPid: 42,
  backendStart: '1700000000.123456',
  systemIdentifier: '7000000000000000001',
  timeline: '00000001',
  postmasterStart: '1600000000.5',
  statisticsStart: '1600000000.7',
}
const ASKED: TransactionIdentity = { ...SERVER, transactionId: '1000' }
const STATUSES: readonly ReportedXidStatus[] = ['committed', 'aborted', 'in progress', 'future', null]

/** Whoever is asked: the same server, but for what is said. Its session is another, and its pid says nothing. */
function witness(changes: Partial<ServerIdentity> = {}, next = '2000', isFirstCheckpoint = false): ReportedState {
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

describe('the server is the same', () => {
  test.each([
    ['committed', 'committed'],
    ['aborted', 'aborted'],
    ['in progress', 'in progress'],
    ['future', { unknown: 'the server has never heard of the transaction' }],
    [null, { unknown: 'the transaction is too old: the server has forgotten its outcome' }],
  ] as const)('and says %s: %j, whatever its checkpoints are', (status, verdict) => {
    for (const { next, first } of CHECKPOINTS)
      expect(judgeVerdict(ASKED, witness({}, next, first), status)).toEqual(verdict)
  })

  test.each([
    ['committed', 'committed'],
    ['aborted', 'aborted'],
  ] as const)('and was restarted in good order, once or more often: %s is believed', (status, verdict) => {
    for (const { next, first } of CHECKPOINTS)
      expect(judgeVerdict(ASKED, witness(CLEANLY_RESTARTED, next, first), status)).toBe(verdict)
  })

  test('and was restarted in good order: what it has never heard of is unknown', () => {
    expect(judgeVerdict(ASKED, witness(CLEANLY_RESTARTED), 'future')).toHaveProperty('unknown')
  })
})

describe.each([
  ['the server has crashed', CRASHED],
  ['a session has crashed, and the postmaster lives on', CRASHED_BY_A_SESSION],
] as const)('%s', (_, changes) => {
  test.each(['aborted', 'future'] as const)('%s is right for whoever has the id', (status) => {
    for (const { next, first } of CHECKPOINTS)
      expect(judgeVerdict(ASKED, witness(changes, next, first), status)).toBe('aborted')
  })

  test('what it has forgotten is unknown', () => {
    expect(judgeVerdict(ASKED, witness(changes), null)).toHaveProperty('unknown')
  })
})

test.each(['committed', 'in progress'] as const)(
  'after a crash and a restart that began without the id, %s is said of another: aborted',
  (status) => {
    expect(judgeVerdict(ASKED, witness(CRASHED, '999', true), status)).toBe('aborted')
    expect(judgeVerdict(ASKED, witness(CRASHED, '1000', true), status)).toBe('aborted')
  },
)

test('after a crash, committed may be said of another that came later: unknown', () => {
  for (const { next, first } of CHECKPOINTS.filter((each) => !each.first || BigInt(each.next) > 1000n))
    expect(judgeVerdict(ASKED, witness(CRASHED, next, first), 'committed')).toEqual({
      unknown: expect.stringContaining('has crashed since'),
    })
})

test('after the crash of a session, committed is unknown: the statistics may have been reset by hand, without a crash', () => {
  for (const { next, first } of CHECKPOINTS)
    expect(judgeVerdict(ASKED, witness(CRASHED_BY_A_SESSION, next, first), 'committed')).toHaveProperty('unknown')
})

test('in progress after a restart with a crash is said of another: the session has ended with its server', () => {
  expect(judgeVerdict(ASKED, witness(CRASHED), 'in progress')).toBe('aborted')
})

test('in progress after the crash of a session: looked after further, for the session may be asked about', () => {
  for (const { next, first } of CHECKPOINTS)
    expect(judgeVerdict(ASKED, witness(CRASHED_BY_A_SESSION, next, first), 'in progress')).toBe('in progress')
})

test.each([
  ['another system', { systemIdentifier: '7000000000000000002' }, 'the server is another system'],
  ['another timeline', { timeline: '00000002' }, 'the server has failed over: timeline 00000001 has become 00000002'],
  [
    'another system on another timeline',
    { systemIdentifier: '7000000000000000002', timeline: '00000002' },
    'the server is another system',
  ],
] as const)('of %s nothing is believed, whatever it says', (_, changes, unknown) => {
  for (const start of [{}, CLEANLY_RESTARTED, CRASHED])
    for (const status of STATUSES)
      for (const { next, first } of CHECKPOINTS)
        expect(judgeVerdict(ASKED, witness({ ...start, ...changes }, next, first), status)).toEqual({ unknown })
})

test('ids are compared as the 64 bits that they are', () => {
  const asked = { ...ASKED, transactionId: '18446744073709551614' }
  expect(judgeVerdict(asked, witness(CRASHED, '9', true), 'committed')).toBe('aborted')
  expect(judgeVerdict(asked, witness(CRASHED, '18446744073709551615', true), 'committed')).toHaveProperty('unknown')
})

describe('what a session says of its server', () => {
  const TEXT = '42 1700000000.123456 7000000000000000001 00000001 1600000000.5 1600000000.7'

  test('is read', () => {
    expect(readServer(TEXT)).toEqual(SERVER)
  })

  test.each([
    ['nothing', undefined],
    ['null, as a standby says', null],
    ['an empty text', ''],
    ['a number', 42],
    ['too little: a start that it may not see', '42 7000000000000000001 00000001 1600000000.5 1600000000.7'],
    ['too much', `${TEXT} 1`],
    ['no pid', TEXT.replace('42', 'x')],
    ['a negative pid', TEXT.replace('42', '-42')],
    ['a start that would end the string it is put into', TEXT.replace('1700000000.123456', "'--")],
  ])('is refused if it is %s', (_, text) => {
    expect(readServer(text)).toBeUndefined()
  })
})

describe('what is asked', () => {
  const SAME_SESSION = "pid = 42 and (extract(epoch from backend_start) * 1000000)::bigint::text = '1700000000.123456'"

  const words = (sql: string): string => sql.replaceAll(/\s+/g, ' ')

  test('names the transaction by all of its 64 bits', () => {
    expect(xidStatusQuery({ ...ASKED, transactionId: '4294967300' })).toContain("'4294967300'::xid8")
  })

  test('finds a session by its pid and its start', () => {
    expect(words(sessionQuery(ASKED))).toContain(SAME_SESSION)
  })

  test('ends a session only if it is the same, in the same transaction, and not waiting for a standby', () => {
    for (const sql of [fence(ASKED), terminateSessionQuery(ASKED)]) {
      expect(words(sql)).toContain(SAME_SESSION)
      expect(words(sql)).toContain("backend_xid = '1000'::xid8::xid")
      expect(words(sql)).toContain("wait_event is distinct from 'SyncRep'")
    }
  })

  test('ends one of which no transaction is known if it is the same', () => {
    expect(words(terminateSessionQuery(SERVER))).toContain(SAME_SESSION)
    expect(words(terminateSessionQuery(SERVER))).not.toContain('xid')
  })
})
