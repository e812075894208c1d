import { describe, expect, test } from 'vitest'
import { HostList, type HostListOptions, unsuitable } from '../../../packages/core/src/connect/host-list.ts'
import { ConnectError, NoReplicaError } from '../../../packages/core/src/errors.ts'
import type { Host } from '../../../packages/core/src/options/hosts.ts'
import type { TargetSessionAttrs } from '../../../packages/core/src/options/pool-options.ts'
import { type HostRole, suits } from '../../../packages/core/src/policy/host-suitability.ts'
import { lagBeyond } from '../../../packages/core/src/policy/wal-position.ts'
import { systemError } from '../../support/fake-client.ts'

const A: Host = { host: 'a', port: 1 }
const B: Host = { host: 'b', port: 2 }
const C: Host = { host: 'c', port: 3 }
const ENDPOINT = { host: 'a', port: 1, database: 'app' }

function listOf(options: Partial<HostListOptions> = {}) {
  let now = 0
  const clock = {
    now: () => now,
    random: () => 0,
    advance(millis: number) {
      now += millis
    },
  }
  const list = new HostList(
    {
      hosts: [A, B, C],
      targetSessionAttrs: 'read-write',
      loadBalanceHosts: false,
      hostRecheckMillis: 10_000,
      ...options,
    },
    clock,
  )
  /** The hosts that a connection would try, if none suits. */
  const order = (): string => {
    const round = list.begin()
    let names = ''
    for (let next = round.next(); next; next = round.next()) names += next.host.host
    return names
  }
  return { clock, list, order }
}

describe('the order of the hosts', () => {
  test('is that of the list, as long as nothing is known', () => {
    expect(listOf().order()).toBe('abc')
  })

  test('begins with the one that suits', () => {
    const { list, order } = listOf()
    list.noteAnswer(B, 'primary')
    expect(order()).toBe('bac')
  })

  test('has those that do not suit behind those that are not known, and those that could not be reached last', () => {
    const { list, order } = listOf()
    list.noteFailure(A, systemError('ECONNREFUSED'))
    list.noteAnswer(B, 'standby')
    expect(order()).toBe('cba')
  })

  test('is that of the list again when what is known is old', () => {
    const { clock, list, order } = listOf()
    list.noteFailure(A, systemError('ECONNREFUSED'))
    list.noteAnswer(B, 'primary')
    clock.advance(9999)
    expect(order()).toBe('bca')
    clock.advance(1)
    expect(order()).toBe('abc')
  })

  test('does not prefer one that was seen lately where any suits', () => {
    const { list, order } = listOf({ targetSessionAttrs: 'any' })
    list.noteAnswer(B, 'primary')
    expect(order()).toBe('abc')
    list.noteFailure(A, systemError('ECONNREFUSED'))
    expect(order()).toBe('bca')
  })

  test('forgets a failure when the host has answered', () => {
    const { list, order } = listOf()
    list.noteFailure(A, systemError('ECONNREFUSED'))
    list.noteAnswer(A, 'primary')
    expect(order()).toBe('abc')
  })

  test('is another one each time, if the hosts share the connections in turn', () => {
    const { order } = listOf({ loadBalanceHosts: 'round-robin' })
    expect([order(), order(), order(), order()]).toEqual(['abc', 'bca', 'cab', 'abc'])
  })

  test('is by chance, if the hosts share the connections at random', () => {
    const { clock, order } = listOf({ loadBalanceHosts: 'random' })
    const numbers = [0.9, 0.1, 0.5]
    clock.random = () => numbers.shift() ?? 0
    expect(order()).toBe('bca')
  })

  test('keeps what is known before the turn', () => {
    const { list, order } = listOf({ loadBalanceHosts: 'round-robin', targetSessionAttrs: 'any' })
    list.noteFailure(A, systemError('ECONNREFUSED'))
    expect([order(), order(), order()]).toEqual(['bca', 'bca', 'cba'])
  })
})

describe('a preference', () => {
  test('is given up when all hosts have been tried: those that have answered come again', () => {
    const { list } = listOf({ targetSessionAttrs: 'prefer-standby' })
    const round = list.begin()
    const tried = [round.next(), round.next(), round.next()]
    expect(tried.map((each) => each && list.suits('primary', each))).toEqual([false, false, false])
    list.noteFailure(A, systemError('ECONNREFUSED'))
    list.noteAnswer(B, 'primary')
    list.noteFailure(C, systemError('ECONNREFUSED'))
    const again = round.next()
    expect(again).toEqual({ host: B, isLastChoice: true })
    expect(again && list.suits('primary', again)).toBe(true)
    expect(round.next()).toBeUndefined()
  })
})

const ROLES: readonly (HostRole | undefined)[] = ['primary', 'read-only', 'standby', undefined]

test.each<[TargetSessionAttrs, boolean[]]>([
  ['any', [true, true, true, true]],
  ['read-write', [true, false, false, false]],
  ['read-only', [false, true, true, false]],
  ['primary', [true, true, false, false]],
  ['standby', [false, false, true, false]],
  ['prefer-standby', [false, false, true, false]],
  ['prefer-primary', [true, true, false, false]],
])(
  '%s suits as in libpq: of a primary, one that is read only, a standby, one that tells no role: %j',
  (target, suit) => {
    expect(ROLES.map((role) => suits(role, target))).toEqual(suit)
  },
)

describe('what is known of the hosts', () => {
  test('is the role in which each was seen last, or why it could not be used', () => {
    const { clock, list } = listOf()
    list.noteAnswer(A, 'primary')
    list.noteFailure(A, new ConnectError(ENDPOINT, systemError('ECONNREFUSED')))
    clock.advance(5)
    list.noteAnswer(B, 'standby')
    list.noteFailure(B, new ConnectError(ENDPOINT, unsuitable('standby', 'read-write')))
    expect(list.status).toEqual([
      { host: 'a', port: 1, role: 'primary', failure: 'connect ECONNREFUSED 127.0.0.1:5432', triedMillis: 5 },
      { host: 'b', port: 2, role: 'standby', failure: undefined, triedMillis: 0 },
      { host: 'c', port: 3, role: undefined, failure: undefined, triedMillis: undefined },
    ])
  })

  test('is in the error of a connection for which none was left', () => {
    const { list } = listOf()
    list.noteFailure(A, systemError('ECONNREFUSED'))
    list.noteAnswer(B, 'standby')
    const error = list.failure(systemError('ECONNREFUSED'), ENDPOINT) as ConnectError
    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toBe(
      'none of the hosts can be used (targetSessionAttrs: read-write): a:1 (connect ECONNREFUSED 127.0.0.1:5432); b:2 standby; ' +
        'c:3 (not known) (connecting to a:1,b:2,c:3, database app)',
    )
    expect(error.code).toBe('08001')
    expect((error.cause as AggregateError).errors).toHaveLength(2)
  })

  test('is not in the error of a single host', () => {
    const { list } = listOf({ hosts: [A] })
    const error = systemError('ECONNREFUSED')
    expect(list.failure(error, ENDPOINT)).toBe(error)
  })
})

test('another host is news once', () => {
  const { list } = listOf()
  expect([list.take(A), list.take(A), list.take(B), list.take(B), list.take(A)]).toEqual([
    undefined,
    undefined,
    A,
    undefined,
    B,
  ])
})

test('of two servers that take writes, the one on the higher timeline is right, in each system', () => {
  const { list } = listOf()
  expect(list.isTimelineMissing).toBe(true)
  expect(list.timelines.note('1', '00000002')).toBeUndefined()
  expect(list.isTimelineMissing).toBe(false)
  expect(list.timelines.note('1', '00000001')).toBe('00000002')
  expect(list.timelines.note('1', '0000000A')).toBe('00000002')
  expect(list.timelines.note('1', '00000003')).toBe('0000000A')
  expect(list.timelines.note('2', '00000001')).toBeUndefined()
})

describe('replicas with a fallback', () => {
  const P: Host = { host: 'p', port: 9 }
  const replicas = (): ReturnType<typeof listOf> =>
    listOf({
      hosts: [A, B],
      targetSessionAttrs: 'standby',
      fallback: { hosts: [P], targetSessionAttrs: 'read-write' },
    })
  const down = new ConnectError(ENDPOINT, systemError('ECONNREFUSED'))

  test('the fallback comes after replicas that suit or are unknown, and before those that failed', () => {
    const { list, order } = replicas()
    expect(order()).toBe('abp')
    list.noteFailure(A, down)
    expect(order()).toBe('bpa')
    list.noteFailure(B, down)
    expect(order()).toBe('pab')
    list.noteFailure(P, down)
    expect(order()).toBe('abp')
  })

  test('each host is taken in the role that is asked of it', () => {
    const { list } = replicas()
    expect(list.suits('primary', { host: A, isLastChoice: false })).toBe(false)
    expect(list.suits('primary', { host: P, isLastChoice: false })).toBe(true)
    expect(list.suits('standby', { host: P, isLastChoice: false })).toBe(false)
  })

  test('connections leave the fallback once a replica suits, until another one leads there', () => {
    const { list } = replicas()
    const toPrimary = { host: P, isLastChoice: false }
    list.review()
    expect(list.isLeft(toPrimary)).toBe(false)
    list.noteAnswer(A, 'standby')
    list.review()
    expect(list.isLeft(toPrimary)).toBe(true)
    list.take(P)
    expect(list.isLeft(toPrimary)).toBe(false)
  })

  test('connections leave a replica that lags or was promoted, and not one that is merely down', () => {
    const { list } = replicas()
    const isLeft = (host: Host): boolean => {
      list.review()
      return list.isLeft({ host, isLastChoice: false })
    }
    list.noteAnswer(A, 'standby')
    list.noteFailure(A, down)
    expect(isLeft(A)).toBe(false)
    list.noteFailure(A, lagBeyond(1, 9n, 1n))
    expect(isLeft(A)).toBe(true)
    list.noteAnswer(A, 'standby')
    expect(isLeft(A)).toBe(false)
    list.noteAnswer(A, 'primary')
    expect(isLeft(A)).toBe(true)
  })

  test('it is news when connections lead to the fallback, and when they are back', () => {
    const list = listOf({ hosts: [A, B], loadBalanceHosts: 'random', targetSessionAttrs: 'standby' }).list
    expect(list.isNews(A, B)).toBe(false)
    const { list: withFallback } = replicas()
    expect([withFallback.isNews(A, P), withFallback.isNews(P, A)]).toEqual([true, true])
  })

  test('without a fallback it may be final that none suits', () => {
    const { list } = listOf({ hosts: [A], targetSessionAttrs: 'standby', failsAtOnce: true })
    list.noteFailure(A, down)
    expect(list.failure(down, ENDPOINT)).toBeInstanceOf(NoReplicaError)
  })
})
