import { expect, test } from 'vitest'
import { ConnectError, PoolClosedError } from '../../../packages/core/src/errors.ts'
import { abortReason } from '../../../packages/core/src/runtime/abort.ts'
import { counting } from '../../../packages/core/src/telemetry/counting.ts'
import type { PoolStats } from '../../../packages/core/src/telemetry/counts.ts'
import { Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { EngineFixture } from '../engine/engine-fixture.ts'
import { sample, TYPES } from './sample-events.ts'

function counted(publish: (publisher: Publisher) => void): PoolStats {
  const publisher = new Publisher('orders')
  const { subscriber, wants } = counting(publisher.counts)
  publisher.subscribe(subscriber, wants)
  publish(publisher)
  return publisher.counts.snapshot('orders', 1000)
}

/** What a fixture's engine has counted. */
function statsOf({ publisher, clock }: EngineFixture): PoolStats {
  return publisher.counts.snapshot('orders', clock.now())
}

function withCounting(options: ConstructorParameters<typeof EngineFixture>[0]): EngineFixture {
  const fixture = new EngineFixture(options)
  const { subscriber, wants } = counting(fixture.publisher.counts)
  fixture.publisher.subscribe(subscriber, wants)
  return fixture
}

test('a pool that has done nothing shows zeros, and each reason and verdict', () => {
  const stats = counted(() => {})
  expect(stats).toMatchObject({
    name: 'orders',
    uptimeMillis: 1000,
    acquires: { total: 0, ready: 0, waited: 0, cancelled: 0, timedOut: 0, refused: 0, waitMillis: 0 },
    connections: { opened: 0, connectFailed: 0, retired: { lost: 0, 'idle-timeout': 0 }, lost: {} },
    commits: { committed: 0, aborted: 0, unknown: 0 },
    watch: { 'session-gone': 0, unreachable: 0 },
  })
})

test('stats are plain data, and can be changed nowhere', () => {
  const stats = counted(({ counts }) => counts.noteLost('57P01'))
  expect(JSON.parse(JSON.stringify(stats))).toEqual(stats)
  const isFrozen = (data: object): boolean =>
    Object.isFrozen(data) && Object.values(data).every((value) => typeof value !== 'object' || isFrozen(value))
  expect(isFrozen(stats)).toBe(true)
})

test('a later change of a counter changes no earlier stats', () => {
  const publisher = new Publisher('orders')
  const before = publisher.counts.snapshot('orders', 0)
  publisher.counts.retired.lost++
  publisher.counts.ready++
  expect(before.connections.retired.lost + before.acquires.ready).toBe(0)
})

test('counts each event once, at its place', () => {
  const stats = counted((publisher) => {
    for (const type of TYPES) publisher.publish(sample(type))
  })
  expect(stats.connections).toMatchObject({ opened: 1, connectFailed: 1 })
  expect(Object.values(stats.connections.retired).reduce((sum, count) => sum + count)).toBe(1)
  expect(Object.values(stats.connections.lost)).toEqual([1])
  expect(Object.values(stats.commits).reduce((sum, count) => sum + count)).toBe(1)
  expect(Object.values(stats.watch).reduce((sum, count) => sum + count)).toBe(1)
  expect(stats.retries.transactions).toBe(1)
  expect(stats.retries.statements + stats.retries.reads).toBe(1)
  expect(stats.acquires.total).toBe(1)
})

test.each([
  ['plain-read', 'reads'],
  ['stalled', 'reads'],
  ['never-ran', 'statements'],
  ['idempotent', 'statements'],
] as const)('a statement that runs again by the reason %s counts under %s', (reason, key) => {
  const retried = { type: 'statement-retried', reason, attempt: 2, error: undefined, pausedMillis: 0 } as const
  expect(counted((publisher) => publisher.publish(retried)).retries).toMatchObject({ [key]: 1 })
})

test('losses are counted by their code, and an endless number of codes as `other`', () => {
  const { lost } = counted(({ counts }) => {
    for (const code of ['57P01', '57P01', 'ECONNRESET', undefined, '__proto__', 'x'.repeat(100)]) counts.noteLost(code)
    for (let code = 0; code < 1000; code++) counts.noteLost(`C${code}`)
    counts.noteLost('57P01')
  }).connections
  expect(lost).toMatchObject({ '57P01': 3, ECONNRESET: 1 })
  expect(Object.keys(lost).length).toBeLessThan(60)
  expect(Object.values(lost).reduce((sum, count) => sum + count)).toBe(1007)
})

test('callers without a connection are counted by why they got none', () => {
  const given = new AbortController()
  given.abort('any reason')
  const failed = (error: unknown) => ({ type: 'acquire-failed', error, waitedMillis: 0 }) as const
  const { acquires } = counted((publisher) => {
    publisher.publish(failed(abortReason(AbortSignal.abort())))
    publisher.publish(failed(abortReason(given.signal)))
    publisher.publish(failed(new PoolClosedError()))
    publisher.publish(failed(new ConnectError({ host: 'h', port: 1, database: undefined }, new Error('no'))))
  })
  expect(acquires).toMatchObject({ total: 4, cancelled: 2, refused: 2, timedOut: 0 })
})

test('the engine counts who got a connection at once, who waited for how long, and for how long it was used', async () => {
  using fixture = withCounting({ max: 1 })
  const first = await fixture.lease() // It waited until the connection was open.
  const waiting = fixture.acquire()
  await fixture.clock.advance(100)
  first.release()
  await fixture.clock.advance(50)
  waiting.release()
  fixture.acquire().release()
  const { acquires, leases, connections } = statsOf(fixture)
  expect(acquires).toMatchObject({ total: 3, ready: 1, waited: 2, timedOut: 0 })
  expect(acquires.waitMillis).toBeGreaterThanOrEqual(100)
  expect(acquires.waitMillis).toBeLessThan(150)
  expect(leases).toEqual({ ended: 3, useMillis: 150 })
  expect(connections.opened).toBe(1)
})

test('the engine counts who waited in vain, was refused, or gave up', async () => {
  using fixture = withCounting({ max: 1, maxWaiting: 1, connectionTimeoutMillis: 1000, prePing: false })
  const held = await fixture.lease()
  const controller = new AbortController()
  fixture.acquire({ signal: controller.signal })
  fixture.acquire()
  controller.abort(new Error('given up'))
  fixture.acquire()
  await fixture.clock.advance(2000)
  held.release()
  expect(statsOf(fixture).acquires).toMatchObject({ total: 4, waited: 1, refused: 1, cancelled: 1, timedOut: 1 })
})

test('the engine counts pings, and why connections left the pool', async () => {
  using fixture = withCounting({ max: 1, prePing: { idleMillis: 0, timeoutMillis: 100 } })
  const first = await fixture.lease()
  first.release()
  await fixture.clock.advance(10)
  const second = await fixture.lease()
  second.release(true)
  const { pings, connections } = statsOf(fixture)
  expect(pings).toEqual({ answered: 1, failed: 0 })
  expect(connections.retired).toMatchObject({ discarded: 1, lost: 0 })
})
