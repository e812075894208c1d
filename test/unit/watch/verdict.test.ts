import { describe, expect, test } from 'vitest'
import type { SeenSession, SessionIdentity } from '../../../packages/core/src/watch/look.ts'
import {
  isUnmoved,
  judgeLooks,
  lookDueMillis,
  type ServerClock,
  type SessionLook,
  type SilentStatement,
  transferMillis,
} from '../../../packages/core/src/watch/verdict.ts'

const BOOT = 1_800_000_000_000 // The server's clock at our time zero, in milliseconds.
const IDENTITY: SessionIdentity = { backendPid: 7, backendStart: BOOT * 1000, serverStart: 1 }
const CLOCK: ServerClock = { offset: BOOT, uncertainty: 1 }
/** Sent at 10 000, and looked at first after 500 ms. */
const STATEMENT: SilentStatement = {
  text: 'insert into t values ($1)',
  kind: 'statement',
  notBefore: 10_000,
  silentSince: 10_000,
  writtenBytes: 100,
  isAlone: true,
}
const at = (millis: number): number => (BOOT + millis) * 1000

function session(changes: Partial<SeenSession> = {}): SeenSession {
  return {
    backendStart: IDENTITY.backendStart,
    state: 'active',
    waitEventType: null,
    waitEvent: null,
    queryStart: at(10_001),
    stateChange: at(10_001),
    transactionId: undefined,
    query: STATEMENT.text as string,
    blockedBy: [],
    ...changes,
  }
}

function look(sight: SessionLook['sight'], askedAt: number, changes: Partial<SessionLook> = {}): SessionLook {
  const answeredAt = askedAt + 2
  const serverNow = BOOT + askedAt + 1
  return { sight, isSameServer: true, askedAt, answeredAt, serverNow, isFlushed: true, isReading: true, ...changes }
}

interface Case {
  readonly statement?: Partial<SilentStatement>
  readonly last?: Partial<SessionLook>
  readonly before?: Partial<SessionLook>
  readonly clock?: ServerClock
}

/** The verdict after two looks, 250 ms apart, that show the same. */
function judge(sight: SessionLook['sight'], { statement, last, before, clock = CLOCK }: Case = {}) {
  const silent = { ...STATEMENT, ...statement }
  return judgeLooks(silent, IDENTITY, clock, look(sight, 10_760, last), look(sight, 10_500, before))
}

const READS = { waitEventType: 'Client', waitEvent: 'ClientRead' }
const WRITES = { waitEventType: 'Client', waitEvent: 'ClientWrite' }
const IDLE = session({ state: 'idle', ...READS, queryStart: at(10_001), stateChange: at(10_004) })
/** The same text was executed before, and nothing since. */
const EARLIER = session({ state: 'idle', ...READS, queryStart: at(9000), stateChange: at(9004) })
const dead = (reason: string) => ({ is: 'dead', reason })
const UNDECIDED = { is: 'undecided' }

describe('one look is enough', () => {
  test('where the server has no such session', () => {
    expect(judgeLooks(STATEMENT, IDENTITY, CLOCK, look('gone', 10_500), undefined)).toEqual(dead('session-gone'))
  })

  test('where the pid has been used again', () => {
    const sight = session({ backendStart: IDENTITY.backendStart + 1 })
    expect(judgeLooks(STATEMENT, IDENTITY, CLOCK, look(sight, 10_500), undefined)).toEqual(dead('session-gone'))
  })

  test.each([
    ['at work', session()],
    ['waiting for a lock', session({ waitEventType: 'Lock', waitEvent: 'transactionid' })],
    ['asleep', session({ waitEventType: 'Timeout', waitEvent: 'PgSleep' })],
    ['waiting for a standby', session({ waitEventType: 'IPC', waitEvent: 'SyncRep' })],
    ['in a call of a function', session({ state: 'fastpath function call' })],
  ])('to leave alone what is %s', (_what, sight) => {
    expect(judgeLooks(STATEMENT, IDENTITY, CLOCK, look(sight, 10_500), undefined)).toEqual({ is: 'slow' })
  })

  test.each([
    ['idle', IDLE],
    ['waiting for the client to send', session(READS)],
    ['waiting for the client to receive', session(WRITES)],
    ['waiting for a client that opens TLS', session({ waitEventType: 'Client', waitEvent: 'SSLOpenServer' })],
  ])('for no verdict about a session that is %s', (_what, sight) => {
    expect(judgeLooks(STATEMENT, IDENTITY, CLOCK, look(sight, 10_500), undefined)).toEqual(UNDECIDED)
  })
})

describe('two looks prove', () => {
  test.each([
    ['active, and waits for the client to send', session(READS), 'unfinished'],
    ['active, and waits for the client to receive', session(WRITES), 'answer-stuck'],
    ['idle, and waits for the client to receive', session({ state: 'idle', ...WRITES }), 'answer-stuck'],
    ['idle since the statement has ended', IDLE, 'answer-lost'],
    ['idle in a transaction', { ...IDLE, state: 'idle in transaction' }, 'answer-lost'],
    ['idle in a failed transaction', { ...IDLE, state: 'idle in transaction (aborted)' }, 'answer-lost'],
    ['idle since before it was sent', EARLIER, 'never-arrived'],
    ['idle after another statement', { ...IDLE, query: 'select 2' }, 'never-arrived'],
  ])('the death of one that is %s', (_what, sight, reason) => {
    expect(judge(sight)).toEqual(dead(reason))
  })
})

describe('nothing is proven', () => {
  test.each<[string, SessionLook['sight'], Case]>([
    ['before 250 ms have passed', IDLE, { before: { askedAt: 10_600, answeredAt: 10_602 } }],
    ['where a look takes long itself', IDLE, { before: { askedAt: 10_300, answeredAt: 10_500 } }],
    ['when the state has changed between', IDLE, { before: { sight: { ...IDLE, stateChange: at(9004) } } }],
    ['when a statement has begun between', IDLE, { before: { sight: { ...IDLE, queryStart: at(9000) } } }],
    ['when it was active before', IDLE, { before: { sight: session() } }],
    ['while not all is sent', IDLE, { last: { isFlushed: false } }],
    ['when not all was sent before', IDLE, { before: { isFlushed: false } }],
    ['while the answer is not read', session(WRITES), { last: { isReading: false } }],
    ['when the answer was not read before', session(WRITES), { before: { isReading: false } }],
    ['while nothing is read at all', IDLE, { last: { isReading: false } }],
    ['while COPY waits for the client', session(READS), { statement: { kind: 'stream' } }],
    ['by a stream that has sent nothing', IDLE, { statement: { kind: 'stream', writtenBytes: 0 } }],
    ['while a large statement may be on its way', EARLIER, { statement: { writtenBytes: 1_000_000 } }],
    ['while a part of it may be', session(READS), { statement: { writtenBytes: 1_000_000 } }],
  ])('%s', (_what, sight, circumstances) => {
    expect(judge(sight, circumstances)).toEqual(UNDECIDED)
  })
})

test('a large statement has had its time in the end', () => {
  const silent = { ...STATEMENT, writtenBytes: 1_000_000 }
  const verdict = judgeLooks(silent, IDENTITY, CLOCK, look(EARLIER, 40_000), look(EARLIER, 30_000))
  expect(verdict).toEqual(dead('never-arrived'))
  expect([0, 16_384, 131_072, 1e9].map(transferMillis)).toEqual([0, 0, 1024, 32_768])
})

describe('no verdict', () => {
  test('by the words of another server, not even about a session that it does not have', () => {
    expect(judge('gone', { last: { isSameServer: false } })).toEqual({ is: 'hidden', why: 'another-server' })
  })

  test('about a session that the role may not see', () => {
    expect(judge('hidden')).toEqual({ is: 'hidden', why: 'insufficient-privilege' })
  })
})

describe('that a statement has never arrived is not certain', () => {
  test.each<[string, SessionLook['sight'], Case]>([
    ['in a transaction, or with others behind it', EARLIER, { statement: { isAlone: false } }],
    ['when the same text was executed shortly before', { ...EARLIER, stateChange: at(9800) }, {}],
    ['when the clock of the server was set', EARLIER, { clock: { offset: BOOT - 5000, uncertainty: 1 } }],
    ['when the clock of the server was not known well', EARLIER, { statement: { notBefore: 9100 } }],
    ['of a text that only the driver knows', IDLE, { statement: { text: undefined } }],
    ['of a text that is cut off', { ...IDLE, query: 'insert into t' }, {}],
    ['before the first statement of a session', { ...IDLE, query: '' }, {}],
    [
      'of a text that encodings show differently',
      { ...IDLE, query: "select '?'" },
      { statement: { text: "select 'é'" } },
    ],
  ])('%s', (_what, sight, circumstances) => {
    expect(judge(sight, circumstances)).toEqual(dead('answer-lost'))
  })
})

test('a session that was told to terminate is final only where nothing has moved', () => {
  expect(isUnmoved(EARLIER, { ...EARLIER, waitEvent: null })).toBe(true)
  for (const change of [{ state: 'active' }, { stateChange: 1 }, { queryStart: 1 }, { backendStart: 1 }])
    expect(isUnmoved(EARLIER, { ...EARLIER, ...change })).toBe(false)
  for (const sight of ['gone', 'hidden', undefined] as const) expect(isUnmoved(EARLIER, sight)).toBe(false)
})

test('looks come after 0.5, 0.75, 1.5, 3 … seconds, and at most 30 seconds apart', () => {
  const due = Array.from({ length: 10 }, (_, looks) => lookDueMillis(500, looks))
  expect(due).toEqual([500, 750, 1500, 3000, 6000, 12_000, 24_000, 48_000, 78_000, 108_000])
  expect(lookDueMillis(100, 1)).toBe(350)
})
