import { expect, test } from 'vitest'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import type { HostRole } from '../../../packages/core/src/policy/host-suitability.ts'
import { FakeServer, serverError, systemError, type Welcome } from '../../support/fake-client.ts'
import { type Acquisition, EngineFixture } from '../engine/engine-fixture.ts'

/** A pool with three hosts: how each treats logins, and what it is. */
class Hosts extends EngineFixture {
  constructor(servers: readonly (readonly [Welcome, HostRole])[], options: PoolOptions = {}) {
    super({ host: ['a', 'b', 'c'], targetSessionAttrs: 'read-write', ...options })
    for (const [index, [welcome, role]] of servers.entries()) {
      const server = new FakeServer()
      server.welcome = welcome
      server.role = role as 'primary' | 'standby'
      this.server.others.set('abc'.charAt(index), server)
    }
  }

  at(host: string): FakeServer {
    const server = this.server.others.get(host)
    if (!server) throw new Error(`There is no host ${host}`)
    return server
  }

  /** How many logins each host has seen. */
  get logins(): number[] {
    return [...this.server.others.values()].map(({ backends }) => backends.length)
  }

  /** How many connections to each host are open. */
  get open(): number[] {
    return [...this.server.others.values()].map(({ backends }) => backends.filter(({ isOpen }) => isOpen).length)
  }
}

const hostOf = ({ leased }: Acquisition): string | undefined => leased.candidate?.host.host
const REFUSED = systemError('ECONNREFUSED')

test('a host that refuses, and one that does not suit, are followed by the next one at once', async () => {
  using pool = new Hosts([
    [REFUSED, 'primary'],
    ['accept', 'standby'],
    ['accept', 'primary'],
  ])
  expect(hostOf(await pool.lease())).toBe('c')
  expect([pool.logins, pool.open]).toEqual([
    [1, 1, 1],
    [0, 0, 1],
  ])
  expect(pool.eventsOf('connect-failed')).toEqual([])
  // The next connection knows where to go.
  expect(hostOf(await pool.lease())).toBe('c')
  expect(pool.logins).toEqual([1, 1, 2])
})

test('a host that is silent is not waited for: the next is tried beside it, and the silent one is closed', async () => {
  using pool = new Hosts(
    [
      ['hang', 'primary'],
      ['hang', 'primary'],
      ['accept', 'primary'],
    ],
    { hostPatienceMillis: 400 },
  )
  const caller = pool.acquire()
  await pool.clock.advance(399)
  expect(pool.logins).toEqual([1, 0, 0])
  await pool.clock.advance(1)
  expect(pool.logins).toEqual([1, 1, 0])
  await pool.clock.advance(400)
  expect([hostOf(caller), pool.open]).toEqual(['c', [0, 0, 1]])
  // Others go there first.
  expect(hostOf(await pool.lease())).toBe('c')
})

test('the first one that suits wins, also if it is the one that was silent', async () => {
  using pool = new Hosts(
    [
      ['hang', 'primary'],
      ['hang', 'primary'],
    ],
    { host: ['a', 'b'], hostPatienceMillis: 400 },
  )
  const caller = pool.acquire()
  await pool.clock.advance(500)
  expect(pool.open).toEqual([1, 1])
  pool.at('a').backend().accept()
  await pool.clock.advance(0)
  expect([hostOf(caller), pool.open]).toEqual(['a', [1, 0]])
})

test('beside a silent host the others are tried ten times a second, until one suits', async () => {
  using pool = new Hosts(
    [
      ['hang', 'primary'],
      ['accept', 'standby'],
      [REFUSED, 'primary'],
    ],
    { hostPatienceMillis: 400 },
  )
  const caller = pool.acquire()
  await pool.clock.advance(1400)
  expect(pool.at('b').backends.length).toBeGreaterThanOrEqual(8)
  expect(pool.at('c').backends.length).toBeGreaterThanOrEqual(8)
  expect(pool.at('b').backends.length).toBeLessThanOrEqual(12)
  pool.at('b').role = 'primary'
  await pool.clock.advance(200)
  expect(hostOf(caller)).toBe('b')
})

test('a lost primary: all hosts are tried ten times a second, and callers wait until their deadline', async () => {
  using pool = new Hosts(
    [
      [REFUSED, 'primary'],
      ['accept', 'standby'],
      [REFUSED, 'standby'],
    ],
    { connectionTimeoutMillis: 2000, max: 5 },
  )
  const [first, second] = [pool.acquire(), pool.acquire()]
  await pool.clock.advance(1050)
  expect(pool.at('b').backends.length).toBeGreaterThanOrEqual(9)
  expect(pool.at('b').backends.length).toBeLessThanOrEqual(15)
  await pool.clock.advance(1000)
  for (const { error } of [first, second])
    expect(error?.message).toMatch(
      /last connect failure: none of the hosts can be used \(targetSessionAttrs: read-write\): a:5432 \(connect ECONNREFUSED [^;]*; b:5432 standby; c:5432 \(connect ECONNREFUSED/,
    )
  const third = pool.acquire()
  await pool.clock.advance(300)
  pool.at('b').role = 'primary'
  await pool.clock.advance(110)
  expect(hostOf(third)).toBe('b')
})

test('a wrong password is final: no other host is asked', async () => {
  using pool = new Hosts([
    [serverError('28P01', 'password authentication failed', 'FATAL'), 'primary'],
    ['accept', 'primary'],
  ])
  const caller = pool.acquire()
  await pool.clock.advance(0)
  expect(caller.error).toMatchObject({ code: '28P01', endpoint: { host: 'a' } })
  expect(pool.logins).toEqual([1, 0])
})

test('without retries each host is tried once, and the caller is told of all', async () => {
  using pool = new Hosts(
    [
      [REFUSED, 'primary'],
      ['accept', 'standby'],
      [serverError('57P03', 'the database system is starting up', 'FATAL'), 'primary'],
    ],
    { connectRetry: false },
  )
  const caller = pool.acquire()
  await pool.clock.advance(0)
  expect(caller.error?.message).toMatch(
    /a:5432 \(connect .*; b:5432 standby; c:5432 \(the database system is starting up\)/,
  )
  expect(pool.logins).toEqual([1, 1, 1])
})

test('what is preferred is taken, and else what there is', async () => {
  const options = { targetSessionAttrs: 'prefer-standby', hostRecheckMillis: 0 } as const
  using pool = new Hosts(
    [
      ['accept', 'primary'],
      [REFUSED, 'standby'],
      ['accept', 'standby'],
    ],
    options,
  )
  expect(hostOf(await pool.lease())).toBe('c')
  pool.at('c').welcome = REFUSED
  expect(hostOf(await pool.lease())).toBe('a')
})

test('hosts share the connections in turn', async () => {
  using pool = new Hosts(
    [
      ['accept', 'primary'],
      ['accept', 'standby'],
      ['accept', 'standby'],
    ],
    { targetSessionAttrs: 'any', loadBalanceHosts: 'round-robin' },
  )
  const leased = [await pool.lease(), await pool.lease(), await pool.lease(), await pool.lease()]
  expect(leased.map(hostOf)).toEqual(['a', 'b', 'c', 'a'])
})

test('a host that refuses condemns no connection to another one', async () => {
  using pool = new Hosts(
    [
      ['accept', 'standby'],
      ['accept', 'primary'],
      [REFUSED, 'primary'],
    ],
    { max: 3 },
  )
  await pool.fill(3)
  pool.at('a').welcome = REFUSED
  pool.at('b').backend(1).terminate()
  await pool.clock.advance(0)
  expect(pool.eventsOf('pool-invalidated')).toEqual([])
})

test('a constructor of a client class that throws is told to the caller', async () => {
  using pool = new Hosts([
    [REFUSED, 'primary'],
    ['accept', 'primary'],
  ])
  pool.server.others.set('b', undefined as never)
  Object.defineProperty(pool.server, 'backends', {
    get() {
      throw new Error('of the constructor')
    },
  })
  const caller = pool.acquire()
  await pool.clock.advance(0)
  expect(caller.error?.message).toBe('of the constructor')
  expect(pool.counts).toMatchObject({ total: 0, waiting: 0 })
})
