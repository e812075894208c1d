import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { EngineFixture } from './engine-fixture.ts'

/** The published waiting times of those that got no connection. */
const waited = (fixture: EngineFixture): number[] =>
  fixture.events.flatMap((event) => (event.type === 'acquire-failed' ? [event.waitedMillis] : []))

describe('maxWaiting', () => {
  test('lets maxWaiting callers wait, and refuses one more at once', async () => {
    using fixture = new EngineFixture({ max: 1, maxWaiting: 2 })
    const holder = await fixture.lease()
    const [first, second, third] = [fixture.acquire(), fixture.acquire(), fixture.acquire()]
    expect(third.error).toMatchObject({ code: 'HOLDFAST_POOL_OVERLOADED', maxWaiting: 2 })
    expect(waited(fixture)).toEqual([0])
    expect(fixture.counts.waiting).toBe(2)

    holder.release()
    first.release()
    expect(second.connection).toBeDefined()
  })

  test('maxWaiting does not count waiters for which a connection can still be opened', async () => {
    using fixture = new EngineFixture({ max: 2, maxWaiting: 0 })
    const [first, second, third] = [fixture.acquire(), fixture.acquire(), fixture.acquire()]
    expect(third.error?.code).toBe('HOLDFAST_POOL_OVERLOADED')
    await fixture.clock.advance(0)
    expect([first.leased.id, second.leased.id]).toEqual([1, 2])
    expect(fixture.acquire().error?.code).toBe('HOLDFAST_POOL_OVERLOADED')
  })
})

describe("a caller's own deadline", () => {
  test('a deadline of its own passes before the deadlines of earlier callers', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    await fixture.clock.advance(100)
    const holder = await fixture.lease()
    const patient = fixture.acquire()
    const hasty = fixture.acquire({ connectionTimeoutMillis: 500 })
    await fixture.clock.advance(499)
    expect(hasty.error).toBeUndefined()
    await fixture.clock.advance(1)
    expect(hasty.error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT', details: { waitedMillis: 500, waiting: 1 } })
    expect(waited(fixture)).toEqual([500])

    holder.release()
    await fixture.clock.advance(0)
    expect(patient.leased.id).toBe(1)
    expect(fixture.clock.timers('process')).toBe(0)
  })

  test('a deadline of its own may be longer than that of the pool, and keeps the process alive', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 500 })
    await fixture.lease()
    const patient = fixture.acquire({ connectionTimeoutMillis: 3000 })
    const other = fixture.acquire()
    await fixture.clock.advance(500)
    expect(other.error).toBeDefined()
    expect(patient.error).toBeUndefined()
    expect(fixture.clock.timers('process')).toBe(1)
    await fixture.clock.advance(2500)
    expect(patient.error).toMatchObject({ details: { waitedMillis: 3000 } })
  })

  test('a connectionTimeoutMillis of 0 means no deadline', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 500 })
    const holder = await fixture.lease()
    const patient = fixture.acquire({ connectionTimeoutMillis: 0 })
    await fixture.clock.advance(60_000)
    holder.release()
    await fixture.clock.advance(0)
    expect(patient.leased.id).toBe(1)
  })

  test('a deadline that is met leaves no timer', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const holder = await fixture.lease()
    const call = fixture.acquire({ connectionTimeoutMillis: 500 })
    holder.release()
    expect(call.leased.id).toBe(1)
    expect(fixture.clock.timers('process')).toBe(0)
  })
})

describe('a signal', () => {
  test('a signal removes its caller from the queue at once, from any place', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.clock.advance(100)
    const holder = await fixture.lease()
    const controller = new AbortController()
    const first = fixture.acquire()
    const given = fixture.acquire({ signal: controller.signal })
    const last = fixture.acquire()
    await fixture.clock.advance(700)

    const reason = new Error('changed my mind')
    controller.abort(reason)
    expect(given.error).toBe(reason)
    expect(waited(fixture)).toEqual([700])
    expect(fixture.counts.waiting).toBe(2)
    holder.release(true)
    await fixture.clock.advance(0)
    first.release()
    expect(last.connection).toBeDefined()
  })

  test('a signal that is aborted already refuses its caller, even if a connection is idle', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    const signal = AbortSignal.abort(new Error('too late'))
    expect(fixture.acquire({ signal }).error).toBe(signal.reason)
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test.each([
    { how: 'is served', end: (holder: ReturnType<EngineFixture['acquire']>) => holder.release() },
    { how: 'runs out of time', end: (_: unknown, fixture: EngineFixture) => fixture.clock.advance(500) },
    {
      how: 'is refused',
      end: (_: unknown, fixture: EngineFixture) => {
        void fixture.engine.close()
        return fixture.clock.advance(10)
      },
    },
  ])('a signal has no listener any more when its caller $how', async ({ end }) => {
    using fixture = new EngineFixture({ max: 1, closeTimeoutMillis: 10 })
    const holder = await fixture.lease()
    const { signal } = new AbortController()
    const call = fixture.acquire({ signal, connectionTimeoutMillis: 500 })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await end(holder, fixture)
    expect(call.connection ?? call.error).toBeDefined()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  test('the signal of the last waiter stops the retries, as its deadline does', async () => {
    using fixture = new EngineFixture()
    fixture.server.welcome = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const controller = new AbortController()
    fixture.acquire({ signal: controller.signal })
    await fixture.clock.advance(10)
    controller.abort()
    const attempts = fixture.server.backends.length
    await fixture.clock.advance(10_000)
    expect(fixture.server.backends).toHaveLength(attempts)
  })
})

describe('a waiter that is timed out and asks again at once', () => {
  test('a waiter that is timed out and asks again at once does not delay the deadlines of earlier waiters', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 300 })
    fixture.server.welcome = 'hang'
    fixture.engine.acquire({ leased() {}, failed: () => void fixture.acquire() })
    await fixture.clock.advance(1)
    const second = fixture.acquire()
    await fixture.clock.advance(300)
    expect(second.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')
  })

  test('a waiter that is timed out and asks again at once sets only one timer', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 300 })
    await fixture.lease()
    fixture.engine.acquire({ leased() {}, failed: () => void fixture.acquire() })
    await fixture.clock.advance(310)
    expect(fixture.counts.waiting).toBe(1)
    expect(fixture.clock.timers('process')).toBe(1)
  })
})

test('a timeout reports how long the server has not answered', async () => {
  using fixture = new EngineFixture()
  fixture.server.welcome = 'hang'
  await fixture.clock.advance(500)
  fixture.acquire()
  await fixture.clock.advance(200)
  const hasty = fixture.acquire({ connectionTimeoutMillis: 300 })
  await fixture.clock.advance(300)
  expect(hasty.error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT', cause: { code: 'ETIMEDOUT' } })
  expect(hasty.error?.message).toContain('no answer within 500 ms')
})

test('a lease is published with the time that its caller has waited', async () => {
  using fixture = new EngineFixture({ max: 1 })
  await fixture.clock.advance(100)
  const holder = await fixture.lease()
  const waiter = fixture.acquire()
  await fixture.clock.advance(300)
  holder.release()
  waiter.release()
  fixture.acquire()
  const leases = fixture.events.flatMap((event) => (event.type === 'connection-leased' ? [event.waitedMillis] : []))
  expect(leases).toEqual([0, 300, 0])
})

test('a listener of a lease may release another connection: the next waiter gets that one', async () => {
  using fixture = new EngineFixture({ max: 2 })
  const holders = [await fixture.lease(), await fixture.lease()]
  const [first, second] = [fixture.acquire(), fixture.acquire()]
  fixture.publisher.subscribe(({ type }) => {
    if (type === 'connection-leased') holders.pop()?.release()
  })
  holders.shift()?.release()
  expect([first.leased.id, second.leased.id]).toEqual([1, 2])
  expect(fixture.counts.waiting).toBe(0)
})
