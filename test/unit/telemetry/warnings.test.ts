import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest'
import { ConnectError } from '../../../packages/core/src/errors.ts'
import { type PoolEvent, Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { warnings } from '../../../packages/core/src/telemetry/warnings.ts'
import { RecordingLogger } from './recording-logger.ts'
import { refused, sample, TYPES } from './sample-events.ts'

const PREFIX = `[holdfast:orders ${process.pid}] `

/** A pool that warns. */
function warner(options: { connectRetry?: object | false; connectionTimeoutMillis?: number } = {}) {
  let now = 0
  const logger = new RecordingLogger()
  const publisher = new Publisher('orders')
  const { subscriber, wants } = warnings({
    name: 'orders',
    clock: { now: () => now },
    logger,
    connectRetry: {},
    connectionTimeoutMillis: 30_000,
    ...options,
  })
  publisher.subscribe(subscriber, wants)
  return {
    wants,
    tell: (...events: readonly PoolEvent[]): void => {
      for (const event of events) publisher.publish(event)
    },
    pass: (millis: number): void => {
      now += millis
    },
    /** What was said since the last time. */
    said: (): string[] =>
      logger.lines.splice(0).map(([level, message]) => {
        expect(level).toBe('warn')
        expect(message.slice(0, PREFIX.length)).toBe(PREFIX)
        expect(message.slice(PREFIX.length)).toMatch(/^HOLDFAST_[A-Z_]+: /)
        return message.slice(PREFIX.length).replace(/^HOLDFAST_[A-Z_]+: /, '')
      }),
  }
}

describe('an overdue lease', () => {
  test('an overdue lease is reported with the stack that acquired it', () => {
    const { tell, said } = warner()
    tell(sample('connection-leak-suspected'))
    expect(said()).toEqual([
      'Connection leak detection triggered for connection 3 (backend 1234): not released for 5000 ms. It was acquired here:\n' +
        '    at handler (app.ts:1:2)\n    at serve (app.ts:3:4)',
    ])
  })

  test('an overdue lease is reported with every frame of a stack that has no message', () => {
    const { tell, said } = warner()
    tell(sample('connection-leak-suspected', { stack: '    at handler (app.ts:1:2)\n    at serve (app.ts:3:4)' }))
    expect(said()).toEqual([expect.stringMatching(/here:\n {4}at handler .*\n {4}at serve .*$/)])
  })

  test('an overdue lease is reported without a stack if there is none', () => {
    const { tell, said } = warner()
    tell(sample('connection-leak-suspected', { stack: undefined }))
    expect(said()).toEqual([
      'Connection leak detection triggered for connection 3 (backend 1234): not released for 5000 ms',
    ])
  })

  test('an overdue lease is reported again when it ends after all, once', () => {
    const { tell, said } = warner()
    tell(sample('connection-leak-suspected'))
    said()
    tell(sample('connection-released', { heldMillis: 7000.4, wasOverdue: true }), sample('connection-released'))
    expect(said()).toEqual([
      'Previously reported leaked connection 3 (backend 1234) was released after 7000 ms: slow, but no leak',
    ])
  })

  test('an overdue lease makes releases wanted only as long as it lasts', () => {
    const { tell, wants } = warner()
    const isReleaseHeard = wants('connection-released') as () => boolean
    expect(isReleaseHeard()).toBe(false)
    tell(sample('connection-leak-suspected'), sample('connection-leak-suspected'))
    expect(isReleaseHeard()).toBe(true)
    expect(wants('connection-leased')).toBe(false)
    tell(sample('connection-released', { wasOverdue: true }), sample('connection-released'))
    expect(isReleaseHeard()).toBe(true)
    tell(sample('connection-released', { wasOverdue: true }))
    expect(isReleaseHeard()).toBe(false)
  })
})

describe('too many connections wanted', () => {
  test.each([
    [
      { max: 10, workers: 4, available: 30 },
      '4 processes with max: 10 can want 40 connections, but the server grants 30. Lower max to 7, or raise max_connections, or the connection limit of the role or the database',
    ],
    [
      { max: 100, workers: 1, available: 97 },
      '1 process with max: 100 can want 100 connections, but the server grants 97. Lower max to 97, or raise max_connections, or the connection limit of the role or the database',
    ],
    [
      { max: 1, workers: 40, available: 30 },
      '40 processes with max: 1 can want 40 connections, but the server grants 30. Run fewer processes, or raise max_connections, or the connection limit of the role or the database',
    ],
  ])('too many connections wanted are reported with a remedy: %o', (facts, text) => {
    const { tell, said } = warner()
    tell(sample('capacity-exceeded', facts))
    expect(said()).toEqual([text])
  })
})

describe('a server that cannot be reached', () => {
  const TEXT =
    'Cannot connect, trying again; callers wait for up to 30000 ms (connectionTimeoutMillis): ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:5433'

  test('an unreachable server is reported at the first failure, and not at the next ones', () => {
    const { tell, said, pass } = warner()
    for (let attempt = 1; attempt <= 5; attempt++) {
      tell(sample('connect-failed'))
      pass(30_000)
    }
    expect(said()).toEqual([TEXT])
  })

  test('an unreachable server is reported with its address', () => {
    const { tell, said } = warner()
    const error = new ConnectError({ host: 'db', port: 5433, database: 'app' }, refused())
    tell(sample('connect-failed', { error }))
    expect(said()).toEqual([`${TEXT} (connecting to db:5433, database app)`])
  })

  test('an unreachable server is reported to callers with endless patience', () => {
    const { tell, said } = warner({ connectionTimeoutMillis: Number.POSITIVE_INFINITY })
    tell(sample('connect-failed'))
    expect(said()).toEqual([expect.stringContaining('for as long as it takes (connectionTimeoutMillis: 0)')])
  })

  test('an unreachable server is reported again after a connection was opened in between', () => {
    const { tell, said, pass } = warner()
    tell(sample('connect-failed'), sample('connection-opened'))
    said()
    pass(60_000)
    tell(sample('connect-failed'))
    expect(said()).toEqual([TEXT])
  })

  test('an unreachable server is reported once a minute at most, since a server at its limit accepts some and refuses others', () => {
    const { tell, said, pass } = warner()
    for (let second = 0; second < 60; second++) {
      tell(sample('connect-failed'), sample('connection-opened'))
      pass(1000)
    }
    expect(said()).toHaveLength(1)
    tell(sample('connect-failed'))
    expect(said()).toHaveLength(1)
  })

  test('an unreachable server is reported late if the last outage was reported a moment ago', () => {
    const { tell, said, pass } = warner()
    tell(sample('connect-failed'), sample('connection-opened'), sample('connect-failed'))
    expect(said()).toHaveLength(1)
    pass(60_000)
    tell(sample('connect-failed'))
    expect(said()).toHaveLength(1)
  })

  test.each([
    { what: 'a refusal for good', error: Object.assign(new Error('no such role'), { code: '28P01' }) },
    { what: "the pool's own end", error: new Error('The pool closed it: pool-closed') },
    { what: 'an unknown host', error: Object.assign(new Error('getaddrinfo ENOTFOUND db'), { code: 'ENOTFOUND' }) },
  ])('an unreachable server is not reported for $what, since the waiters have the error already', ({ error }) => {
    const { tell, said } = warner()
    tell(sample('connect-failed', { error }))
    expect(said()).toEqual([])
  })

  test('an unreachable server is reported for a host that was known before, since the resolver may fail for a while', () => {
    const { tell, said } = warner()
    const error = Object.assign(new Error('getaddrinfo ENOTFOUND db'), { code: 'ENOTFOUND' })
    tell(sample('connection-opened'), sample('connect-failed', { error }))
    expect(said()).toHaveLength(1)
  })

  test('an unreachable server is not reported if the pool does not try again', () => {
    const { tell, said } = warner({ connectRetry: false })
    tell(sample('connect-failed'))
    expect(said()).toEqual([])
  })
})

describe('a pooler', () => {
  test('a pooler that is found is no news, unless the user has said that there is none: then it is told once', () => {
    const { tell, said } = warner()
    tell(
      sample('pooler-found', { option: 'auto' }),
      sample('pooler-found', { option: 'session', pooler: 'transaction' }),
    )
    expect(said()).toEqual([])
    tell(sample('pooler-found'), sample('pooler-found', { pooler: 'transaction' }))
    expect(said()).toEqual([
      'There is a pooler in front of the server: another process serves a session than its login has named. ' +
        "Set pooler: 'session' or 'transaction'",
    ])
  })

  test.each([
    ['listen', /LISTEN hears nothing/],
    ['lock', /advisory lock.* pg_advisory_xact_lock/],
    ['reset', /resetOnReturn.* 'rollback'/],
  ] as const)('what can not work where each transaction has another session is named: %s', (need, text) => {
    const { tell, said } = warner()
    tell(sample('session-needed', { need }))
    expect(said()).toEqual([expect.stringMatching(text)])
  })
})

test('no other event is wanted or warned about', () => {
  const { wants, tell, said } = warner()
  const HEARD = [
    'connection-opened',
    'connect-failed',
    'connection-leak-suspected',
    'transaction-left-open',
    'capacity-exceeded',
    'budget-unanswered',
    'pooler-found',
    'session-needed',
    'former-primary',
    'standby-refused-write',
    'prepare-stopped',
  ]
  expect(TYPES.filter((type) => wants(type) === true)).toEqual(HEARD)
  for (const type of TYPES.filter((each) => !HEARD.includes(each))) tell(sample(type))
  tell(sample('connection-opened'))
  expect(said()).toEqual([])
})

test.each<[PoolEvent, string]>([
  [sample('connection-leak-suspected'), 'HOLDFAST_LEASE_OVERDUE'],
  [sample('connection-released', { wasOverdue: true }), 'HOLDFAST_LATE_RELEASE'],
  [sample('capacity-exceeded'), 'HOLDFAST_CAPACITY_EXCEEDED'],
  [sample('budget-unanswered'), 'HOLDFAST_BUDGET'],
  [sample('standby-refused-write'), 'HOLDFAST_STANDBY'],
  [sample('former-primary'), 'HOLDFAST_FORMER_PRIMARY'],
  [sample('pooler-found'), 'HOLDFAST_POOLER'],
  [sample('session-needed'), 'HOLDFAST_SESSION_NEEDED'],
  [sample('connect-failed'), 'HOLDFAST_CONNECT_FAILED'],
])('with a logger, $0.type is warned of with its code, %1', (event, code) => {
  const logger = new RecordingLogger()
  const parts = { name: 'orders', clock: { now: () => 0 }, connectRetry: {}, connectionTimeoutMillis: 30_000 }
  warnings({ ...parts, logger }).subscriber(event)
  expect(logger.lines).toEqual([
    ['warn', expect.stringMatching(new RegExp(`^\\[holdfast:orders \\d+\\] ${code}: \\S`))],
  ])
})

describe('without a logger', () => {
  let emitted: MockInstance<typeof process.emitWarning>
  beforeEach(() => {
    emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  })
  afterEach(() => emitted.mockRestore())

  test.each<[PoolEvent, string, object]>([
    [
      sample('connection-leak-suspected'),
      'HOLDFAST_LEASE_OVERDUE',
      { detail: '    at handler (app.ts:1:2)\n    at serve (app.ts:3:4)' },
    ],
    [sample('connection-leak-suspected', { stack: undefined }), 'HOLDFAST_LEASE_OVERDUE', {}],
    [sample('connection-released', { wasOverdue: true }), 'HOLDFAST_LATE_RELEASE', {}],
    [sample('capacity-exceeded'), 'HOLDFAST_CAPACITY_EXCEEDED', {}],
    [sample('transaction-left-open'), 'HOLDFAST_TRANSACTION_LEFT_OPEN', {}],
    [sample('connect-failed'), 'HOLDFAST_CONNECT_FAILED', {}],
  ])('without a logger, $0.type is a warning of the process, by the code %1', (event, code, detail) => {
    warnings({
      name: 'orders',
      clock: { now: () => 0 },
      logger: undefined,
      connectRetry: {},
      connectionTimeoutMillis: 30_000,
    }).subscriber(event)
    expect(emitted).toHaveBeenCalledExactlyOnceWith(expect.stringMatching(/^\[holdfast:orders \d+\] \S/), {
      type: 'HoldfastWarning',
      code,
      ...detail,
    })
  })
})
