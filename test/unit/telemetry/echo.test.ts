import { describe, expect, test } from 'vitest'
import type { RetireReason } from '../../../packages/core/src/policy/retirement.ts'
import { echo } from '../../../packages/core/src/telemetry/echo.ts'
import { type PoolEvent, Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { statusOf } from '../../../packages/core/src/telemetry/status.ts'
import { RecordingLogger } from './recording-logger.ts'
import { connection, refused, sample, TYPES } from './sample-events.ts'

const STATUS = statusOf({
  name: 'orders',
  pid: 1,
  max: 15,
  maxIdle: 5,
  size: 7,
  leased: 2,
  idle: 4,
  opening: 1,
  checking: 0,
  resetting: 0,
  waiting: 0,
  listening: 0,
  isClosed: false,
  pooler: 'none',
})
const STATUS_LINE = 'Pool size: 5  Connections in pool: 4 Current Overflow: 2 Current Checked out connections: 2'
const PREFIX = `[holdfast:orders ${process.pid}] `
const spoilt = Object.assign(new Error('terminating connection due to administrator command'), { code: '57P01' })

/** What is written about an event under this level, without the prefix, which it must have. */
function echoed(event: PoolEvent, level: 'info' | 'debug' = 'debug', name = 'orders'): [string, string][] {
  const logger = new RecordingLogger()
  const publisher = new Publisher(name)
  const { subscriber, wants } = echo({ name, level, logger, status: () => STATUS })
  publisher.subscribe(subscriber, wants)
  publisher.publish(event)
  return logger.lines.map(([at, message]) => {
    expect(message.slice(0, PREFIX.length)).toBe(PREFIX)
    return [at, message.slice(PREFIX.length)]
  })
}

describe('under debug', () => {
  test.each<[PoolEvent, string, string]>([
    [sample('connection-opened'), 'debug', 'Created new connection 3 (backend 1234) in 12 ms'],
    [sample('connect-failed'), 'debug', 'Error on connect(): ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:5433'],
    [sample('connection-pinged'), 'debug', 'Pool pre-ping on connection 3, answered in 1 ms'],
    [sample('connection-leased'), 'debug', 'Connection 3 checked out from pool'],
    [sample('connection-leased', { waitedMillis: 4.6 }), 'debug', 'Connection 3 checked out from pool after 5 ms'],
    [
      sample('acquire-failed'),
      'info',
      'No connection checked out from pool after 300 ms (reason: timeout exceeded when trying to connect)',
    ],
    [sample('connection-released'), 'debug', 'Connection 3 being returned to pool, used for 7 ms'],
    [sample('connection-reset'), 'debug', 'Connection 3 rollback-on-return, in 1 ms'],
    [sample('connection-reset', { by: 'COMMIT' }), 'debug', 'Connection 3 commit-on-return, in 1 ms'],
    [
      sample('connection-reset', { by: 'DISCARD ALL' }),
      'debug',
      'Connection 3 reset-on-return by DISCARD ALL, in 1 ms',
    ],
    [
      sample('connection-declared-dead'),
      'info',
      'Dead connection 3 (backend 1234), silent for 803 ms: the server waits for a statement (state: idle)',
    ],
    [
      sample('connection-declared-dead', { verdict: 'session-gone', state: undefined }),
      'info',
      'Dead connection 3 (backend 1234), silent for 803 ms: the server has no such session',
    ],
    [
      sample('watch-limited'),
      'debug',
      "The watch can't tell slow statements from dead connections: its sessions are behind a pooler, or not of PostgreSQL",
    ],
    [sample('connection-lost'), 'debug', 'Connection 3 lost while in pool'],
    [
      sample('connection-lost', { wasPinged: true }),
      'debug',
      'Pool pre-ping on connection 3 failed (reason: Connection terminated unexpectedly)',
    ],
    [
      sample('connection-lost', {
        wasLeased: true,
        loss: { cause: spoilt, phase: 'commit', commitOutcome: 'unknown' },
      }),
      'debug',
      'Connection 3 lost while checked out (phase: commit, outcome of its work: unknown)',
    ],
    [sample('connection-closed'), 'debug', 'Closed connection 3 (backend 1234)'],
    [
      sample('connection-closed', { connection: { ...connection, backendPid: null } }),
      'debug',
      'Closed connection 3 (backend unknown)',
    ],
    [
      sample('pool-invalidated'),
      'info',
      'Disconnection detected, invalidating all pooled connections prior to current timestamp (reason: Connection terminated unexpectedly)',
    ],
    [
      sample('pool-invalidated', { cause: undefined, wasAsked: true }),
      'info',
      'Invalidation asked for, invalidating all pooled connections prior to current timestamp (reason: none given)',
    ],
    [sample('pool-disposed'), 'info', `Pool disposed. ${STATUS_LINE}`],
    [sample('pool-closed'), 'info', `Pool closed. ${STATUS_LINE}`],
    [
      sample('process-suspended'),
      'info',
      'The process stood still, or its clock was set; every pooled connection needs a pre-ping',
    ],
    [
      sample('process-changed'),
      'info',
      'Connections belong to pid 17, attempting to check out in pid 18; dropping all',
    ],
    [sample('pool-overloaded'), 'info', `Overloaded, 40 waiting; refusing those that wait for 50 ms. ${STATUS_LINE}`],
    [sample('host-changed'), 'info', 'Connecting to h2:5433 (primary), no longer to h1:5432'],
    [sample('host-changed', { role: undefined }), 'info', 'Connecting to h2:5433, no longer to h1:5432'],
    [
      sample('pooler-found'),
      'info',
      'There is a pooler in front of the server (another process serves than the login has named)',
    ],
    [
      sample('pooler-found', { by: 'words' }),
      'info',
      'There is a pooler in front of the server (it has said so itself)',
    ],
    [
      sample('pooler-found', { pooler: 'transaction' }),
      'info',
      'The pooler gives each transaction another session (another process serves than before)',
    ],
    [sample('recovered'), 'info', 'Connected again after 4.3 s, 12 attempts failed'],
    [sample('recovered', { failedAttempts: 1 }), 'info', 'Connected again after 4.3 s, 1 attempt failed'],
    [sample('recovered', { afterMillis: 12.4, failedAttempts: 0 }), 'info', 'Connected again after 12 ms'],
    [
      sample('transaction-retried'),
      'info',
      'Transaction runs again, attempt 2 after 57 ms (reason: 40001: could not serialize access due to concurrent update)',
    ],
    [
      sample('statement-retried'),
      'info',
      'Statement runs again, attempt 2 after 57 ms, as it is idempotent (reason: Connection terminated unexpectedly)',
    ],
    [
      sample('statement-retried', { reason: 'never-ran' }),
      'info',
      'Statement runs again, attempt 2 after 57 ms, as nothing of it ran (reason: Connection terminated unexpectedly)',
    ],
    [
      sample('statement-retried', { reason: 'stale-session' }),
      'info',
      'Statement runs again, attempt 2 after 57 ms, as nothing of it ran in a stale session (reason: Connection terminated unexpectedly)',
    ],
    [sample('commit-resolved'), 'info', 'COMMIT lost on connection 3 (backend 1234) resolved in 31 ms: committed'],
    [
      sample('commit-resolved', { verdict: 'unknown', reason: 'the server is\nanother system' }),
      'info',
      'COMMIT lost on connection 3 (backend 1234) resolved in 31 ms: unknown (reason: the server is another system)',
    ],
    [sample('listening-lost'), 'info', 'Nothing is heard of 2 channels (reason: Connection terminated unexpectedly)'],
    [sample('listening-again'), 'info', 'Listening again to 1 channel; missed up to 1.2 s'],
    [
      sample('session-fenced'),
      'info',
      'Terminated backend 1234 in 260 ms: its connection is lost, and its transaction was open',
    ],
  ])('under debug, $0.type is written as: $2', (event, level, text) => {
    expect(echoed(event)).toEqual([[level, text]])
  })

  const RETIREMENTS: Record<RetireReason, readonly [level: string, text: string]> = {
    lost: ['info', 'Invalidate connection 3 (reason: 57P01: terminating connection due to administrator command)'],
    discarded: [
      'info',
      'Invalidate connection 3 (reason: discarded, 57P01: terminating connection due to administrator command)',
    ],
    invalidated: ['info', 'Connection 3 invalidated due to pool invalidation; recycling'],
    expired: ['info', 'Connection 3 exceeded timeout; recycling'],
    spoilt: ['info', 'Connection 3 has a session that is broken until it ends; recycling'],
    'max-uses': ['info', 'Connection 3 exceeded maxUses; recycling'],
    'reset-failed': [
      'error',
      'Exception during reset or similar, on connection 3: 57P01: terminating connection due to administrator command',
    ],
    'other-process': ['info', 'Connection 3 belongs to another process; dropping it without a word'],
    'max-idle': ['debug', 'Closing connection 3, more than maxIdle'],
    budget: ['debug', 'Closing connection 3, as another pool of the budget needs it'],
    'other-host': ['debug', 'Closing connection 3, since another host suits'],
    'server-full': ['debug', 'Closing connection 3, unused while the server is near its limit'],
    'idle-timeout': ['debug', 'Closing connection 3, idle for too long'],
    disposed: ['debug', 'Closing connection 3'],
    'pool-closed': ['debug', 'Closing connection 3'],
  }
  test.each(Object.entries(RETIREMENTS))('a connection retired as %s is written as %o', (reason, line) => {
    const event = sample('connection-retired', { reason: reason as RetireReason, cause: spoilt })
    expect(echoed(event)).toEqual([line])
  })

  test('a connection discarded without an error has no reason but that', () => {
    const event = sample('connection-retired', { reason: 'discarded', cause: true })
    expect(echoed(event)).toEqual([['info', 'Invalidate connection 3 (reason: discarded)']])
  })

  test.each([['connection-leak-suspected'], ['capacity-exceeded'], ['transaction-left-open']] as const)(
    '%s is left to the warnings',
    (type) => {
      expect(echoed(sample(type))).toEqual([])
    },
  )
})

describe('under info', () => {
  test.each(TYPES)('under info, %s is written exactly if it is louder than debug', (type) => {
    const loud = echoed(sample(type), 'debug').filter(([level]) => level !== 'debug')
    expect(echoed(sample(type), 'info')).toEqual(loud)
  })

  test('under info, what happens all day to surplus connections is not written', () => {
    expect(echoed(sample('connection-retired', { reason: 'idle-timeout' }), 'info')).toEqual([])
  })
})

test.each(['info', 'debug'] as const)('under %s the echo wants exactly the events that it writes', (level) => {
  const { wants } = echo({ name: 'orders', level, logger: new RecordingLogger(), status: () => STATUS })
  expect(TYPES.filter(wants)).toEqual(TYPES.filter((type) => echoed(sample(type), level).length > 0))
})

describe('a line', () => {
  test('a line of the echo stays one line, and free of control characters, whatever the server says', () => {
    const error = new Error('first\r\n\t second\u001b[31m')
    expect(echoed(sample('connect-failed', { error }))).toEqual([['debug', 'Error on connect(): first second [31m']])
  })

  test('a line of the echo names the class of an error that has no code', () => {
    const error = new DOMException('This operation was aborted', 'AbortError')
    expect(echoed(sample('acquire-failed', { error }))).toEqual([
      ['info', 'No connection checked out from pool after 300 ms (reason: AbortError: This operation was aborted)'],
    ])
  })

  test.each([
    [undefined, 'none given'],
    [null, 'none given'],
    [true, 'none given'],
    ['gone home', 'gone home'],
    [
      new AggregateError([refused(), refused()]),
      'AggregateError: connect ECONNREFUSED 127.0.0.1:5433, connect ECONNREFUSED 127.0.0.1:5433',
    ],
  ])('a line of the echo takes whatever was thrown for a reason: %s', (error, reason) => {
    expect(echoed(sample('connect-failed', { error }))).toEqual([['debug', `Error on connect(): ${reason}`]])
  })

  test('a line of the echo of a pool without a name begins with the process alone', () => {
    const logger = new RecordingLogger()
    echo({ name: 'holdfast', level: 'info', logger, status: () => STATUS }).subscriber(sample('process-suspended'))
    expect(logger.lines[0]?.[1]).toMatch(new RegExp(`^\\[holdfast ${process.pid}\\] The process`))
  })
})
