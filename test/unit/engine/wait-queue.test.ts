import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { EngineFixture } from './engine-fixture.ts'

/** How long those who got none are said to have waited. */
const waited = (rig: EngineFixture): number[] =>
  rig.events.flatMap((event) => (event.type === 'acquire-failed' ? [event.waitedMillis] : []))

describe('maxWaiting', () => {
  test('callers may wait, one more is refused at once', async () => {
    using rig = new EngineFixture({ max: 1, maxWaiting: 2 })
    const holder = await rig.lease()
    const [first, second, third] = [rig.call(), rig.call(), rig.call()]
    expect(third.error).toMatchObject({ code: 'HOLDFAST_POOL_OVERLOADED', maxWaiting: 2 })
    expect(waited(rig)).toEqual([0])
    expect(rig.counts.waiting).toBe(2)

    holder.release()
    first.release()
    expect(second.connection).toBeDefined()
  })

  test('does not count who waits for a connection that may yet be opened', async () => {
    using rig = new EngineFixture({ max: 2, maxWaiting: 0 })
    const [first, second, third] = [rig.call(), rig.call(), rig.call()]
    expect(third.error?.code).toBe('HOLDFAST_POOL_OVERLOADED')
    await rig.clock.advance(0)
    expect([first.leased.id, second.leased.id]).toEqual([1, 2])
    expect(rig.call().error?.code).toBe('HOLDFAST_POOL_OVERLOADED')
  })
})

describe("a caller's own deadline", () => {
  test('passes before those of others who came first', async () => {
    using rig = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    await rig.clock.advance(100)
    const holder = await rig.lease()
    const patient = rig.call()
    const hasty = rig.call({ connectionTimeoutMillis: 500 })
    await rig.clock.advance(499)
    expect(hasty.error).toBeUndefined()
    await rig.clock.advance(1)
    expect(hasty.error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT', details: { waitedMillis: 500, waiting: 1 } })
    expect(waited(rig)).toEqual([500])

    holder.release()
    await rig.clock.advance(0)
    expect(patient.leased.id).toBe(1)
    expect(rig.clock.timers('process')).toBe(0)
  })

  test('may be longer than the pool allows, and keeps the process alive', async () => {
    using rig = new EngineFixture({ max: 1, connectionTimeoutMillis: 500 })
    await rig.lease()
    const patient = rig.call({ connectionTimeoutMillis: 3000 })
    const other = rig.call()
    await rig.clock.advance(500)
    expect(other.error).toBeDefined()
    expect(patient.error).toBeUndefined()
    expect(rig.clock.timers('process')).toBe(1)
    await rig.clock.advance(2500)
    expect(patient.error).toMatchObject({ details: { waitedMillis: 3000 } })
  })

  test('of 0 waits for ever', async () => {
    using rig = new EngineFixture({ max: 1, connectionTimeoutMillis: 500 })
    const holder = await rig.lease()
    const patient = rig.call({ connectionTimeoutMillis: 0 })
    await rig.clock.advance(60_000)
    holder.release()
    await rig.clock.advance(0)
    expect(patient.leased.id).toBe(1)
  })

  test('that is met leaves no timer behind', async () => {
    using rig = new EngineFixture({ max: 1 })
    const holder = await rig.lease()
    const call = rig.call({ connectionTimeoutMillis: 500 })
    holder.release()
    expect(call.leased.id).toBe(1)
    expect(rig.clock.timers('process')).toBe(0)
  })
})

describe('a signal', () => {
  test('takes its caller out of the line at once, from any place', async () => {
    using rig = new EngineFixture({ max: 1 })
    await rig.clock.advance(100)
    const holder = await rig.lease()
    const controller = new AbortController()
    const first = rig.call()
    const given = rig.call({ signal: controller.signal })
    const last = rig.call()
    await rig.clock.advance(700)

    const reason = new Error('changed my mind')
    controller.abort(reason)
    expect(given.error).toBe(reason)
    expect(waited(rig)).toEqual([700])
    expect(rig.counts.waiting).toBe(2)
    holder.release(true)
    await rig.clock.advance(0)
    first.release()
    expect(last.connection).toBeDefined()
  })

  test('that is aborted already refuses its caller, though a connection lies idle', async () => {
    using rig = new EngineFixture()
    await rig.fill(1)
    const signal = AbortSignal.abort(new Error('too late'))
    expect(rig.call({ signal }).error).toBe(signal.reason)
    expect(rig.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test.each([
    { how: 'is served', end: (holder: ReturnType<EngineFixture['call']>) => holder.release() },
    { how: 'runs out of time', end: (_: unknown, rig: EngineFixture) => rig.clock.advance(500) },
    { how: 'is refused', end: (_: unknown, rig: EngineFixture) => void rig.engine.close() },
  ])('keeps no listener once its caller $how', async ({ end }) => {
    using rig = new EngineFixture({ max: 1, closeTimeoutMillis: 10 })
    const holder = await rig.lease()
    const { signal } = new AbortController()
    const call = rig.call({ signal, connectionTimeoutMillis: 500 })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await end(holder, rig)
    expect(call.connection ?? call.error).toBeDefined()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  test('of the last who waits stops the probing, like his deadline', async () => {
    using rig = new EngineFixture()
    rig.server.welcome = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const controller = new AbortController()
    rig.call({ signal: controller.signal })
    await rig.clock.advance(10)
    controller.abort()
    const attempts = rig.server.backends.length
    await rig.clock.advance(10_000)
    expect(rig.server.backends).toHaveLength(attempts)
  })
})

describe('who is told that his deadline has passed, and asks again at once,', () => {
  test('does not delay the deadline of who came before', async () => {
    using rig = new EngineFixture({ max: 1, connectionTimeoutMillis: 300 })
    rig.server.welcome = 'hang'
    rig.engine.acquire({ leased() {}, failed: () => void rig.call() })
    await rig.clock.advance(1)
    const second = rig.call()
    await rig.clock.advance(300)
    expect(second.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')
  })

  test('has a single timer set for him', async () => {
    using rig = new EngineFixture({ max: 1, connectionTimeoutMillis: 300 })
    await rig.lease()
    rig.engine.acquire({ leased() {}, failed: () => void rig.call() })
    await rig.clock.advance(310)
    expect(rig.counts.waiting).toBe(1)
    expect(rig.clock.timers('process')).toBe(1)
  })
})

test('who waited in vain for a server that says nothing is told so, and for how long it has', async () => {
  using rig = new EngineFixture()
  rig.server.welcome = 'hang'
  await rig.clock.advance(500)
  rig.call()
  await rig.clock.advance(200)
  const hasty = rig.call({ connectionTimeoutMillis: 300 })
  await rig.clock.advance(300)
  expect(hasty.error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT', cause: { code: 'ETIMEDOUT' } })
  expect(hasty.error?.message).toContain('no answer within 500 ms')
})

test('a lease is told with how long its caller has waited', async () => {
  using rig = new EngineFixture({ max: 1 })
  await rig.clock.advance(100)
  const holder = await rig.lease()
  const waiter = rig.call()
  await rig.clock.advance(300)
  holder.release()
  waiter.release()
  rig.call()
  const leases = rig.events.flatMap((event) => (event.type === 'connection-leased' ? [event.waitedMillis] : []))
  expect(leases).toEqual([0, 300, 0])
})

test('a listener of a lease may release another connection: the next waiter gets that one', async () => {
  using rig = new EngineFixture({ max: 2 })
  const holders = [await rig.lease(), await rig.lease()]
  const [first, second] = [rig.call(), rig.call()]
  rig.publisher.subscribe(({ type }) => {
    if (type === 'connection-leased') holders.pop()?.release()
  })
  holders.shift()?.release()
  expect([first.leased.id, second.leased.id]).toEqual([1, 2])
  expect(rig.counts.waiting).toBe(0)
})
