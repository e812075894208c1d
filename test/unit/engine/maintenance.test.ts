import { describe, expect, test } from 'vitest'
import { systemError } from '../../support/fake-client.ts'
import { EngineFixture, PING } from './engine-fixture.ts'

describe('idleTimeoutMillis', () => {
  test('closes a connection that was idle for idleTimeoutMillis, with Terminate', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 700 })
    await fixture.fill(2)
    await fixture.clock.advance(699)
    expect(fixture.retired).toEqual([])
    await fixture.clock.advance(1)
    expect(fixture.retired).toEqual(['1 idle-timeout', '2 idle-timeout'])
    expect(fixture.server.received).toEqual(['Terminate', 'Terminate'])
  })

  test('idleTimeoutMillis is exact beyond the first heartbeat', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 2500 })
    await fixture.fill(1)
    await fixture.clock.advance(2499)
    expect(fixture.counts.idle).toBe(1)
    await fixture.clock.advance(1)
    expect(fixture.counts.idle).toBe(0)
  })

  test('idleTimeoutMillis counts from the last release', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 1500, prePing: false })
    await fixture.fill(1)
    await fixture.clock.advance(1000)
    fixture.acquire().release()
    await fixture.clock.advance(1499)
    expect(fixture.counts.idle).toBe(1)
    await fixture.clock.advance(1)
    expect(fixture.counts.idle).toBe(0)
  })

  test('idleTimeoutMillis keeps the min freshest connections', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 700, min: 2 })
    await fixture.fill(3)
    await fixture.clock.advance(60_000)
    expect(fixture.retired).toEqual(['1 idle-timeout'])
    expect(fixture.counts.idle).toBe(2)
  })

  test('an idleTimeoutMillis of 0 keeps all idle connections', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 0 })
    await fixture.fill(1)
    await fixture.clock.advance(3_600_000)
    expect(fixture.counts.idle).toBe(1)
  })

  test('idleTimeoutMillis does not close leased connections', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 700 })
    await fixture.fill(1)
    fixture.acquire()
    await fixture.clock.advance(60_000)
    expect(fixture.retired).toEqual([])
  })
})

describe('maxLifetimeSeconds', () => {
  test('closes an idle connection at the end of its lifetime', async () => {
    using fixture = new EngineFixture({ maxLifetimeSeconds: 10, maxLifetimeJitter: 0, idleTimeoutMillis: 0 })
    await fixture.fill(1)
    await fixture.clock.advance(9999)
    expect(fixture.retired).toEqual([])
    await fixture.clock.advance(1)
    expect(fixture.retired).toEqual(['1 expired'])
  })

  test('closes also the min connections at the end of their lifetime, and replaces them', async () => {
    using fixture = new EngineFixture({ maxLifetimeSeconds: 10, maxLifetimeJitter: 0, min: 1 })
    await fixture.fill(1)
    await fixture.clock.advance(10_000)
    expect(fixture.retired).toEqual(['1 expired'])
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('a lifetime varies by chance, so that connections opened together are not closed together', async () => {
    using fixture = new EngineFixture({ maxLifetimeSeconds: 10, maxLifetimeJitter: 0.2, idleTimeoutMillis: 0, max: 2 })
    fixture.clock.chance = 0.5
    const first = await fixture.lease()
    fixture.clock.chance = 0
    const second = await fixture.lease()
    first.release()
    second.release()
    await fixture.clock.advance(9000)
    expect(fixture.retired).toEqual(['1 expired'])
    await fixture.clock.advance(1000)
    expect(fixture.retired).toEqual(['1 expired', '2 expired'])
  })
})

describe('min', () => {
  test('keeps min idle connections once the pool is in use', async () => {
    using fixture = new EngineFixture({ min: 3 })
    await fixture.fill(1)
    await fixture.clock.advance(1000)
    expect(fixture.counts).toEqual({ total: 3, idle: 3, waiting: 0 })
  })

  test('opens further connections when some of the min are leased', async () => {
    using fixture = new EngineFixture({ min: 2 })
    await fixture.fill(2)
    fixture.acquire()
    fixture.acquire()
    await fixture.clock.advance(1000)
    expect(fixture.counts).toEqual({ total: 4, idle: 2, waiting: 0 })
  })

  test('never opens more than max for min', async () => {
    using fixture = new EngineFixture({ min: 2, max: 3 })
    await fixture.fill(2)
    fixture.acquire()
    fixture.acquire()
    await fixture.clock.advance(5000)
    expect(fixture.counts).toEqual({ total: 3, idle: 1, waiting: 0 })
  })

  test('opens min connections again when the server is back', async () => {
    using fixture = new EngineFixture({ min: 2 })
    await fixture.fill(2)
    fixture.server.welcome = systemError('ECONNREFUSED')
    fixture.server.backend(1).terminate()
    await fixture.clock.advance(5000)
    expect(fixture.counts.total).toBe(0)

    fixture.server.welcome = 'accept'
    await fixture.clock.advance(3000)
    expect(fixture.counts).toEqual({ total: 2, idle: 2, waiting: 0 })
  })

  test('does not try again to open min connections while an attempt is under way', async () => {
    using fixture = new EngineFixture({ min: 2 })
    await fixture.fill(1)
    fixture.server.welcome = 'hang'
    await fixture.clock.advance(8000)
    expect(fixture.server.backends).toHaveLength(2)
  })

  test('tries once per heartbeat to open min connections while the server is away and no caller waits', async () => {
    using fixture = new EngineFixture({ min: 1 })
    await fixture.fill(1)
    fixture.server.welcome = systemError('ECONNREFUSED')
    fixture.server.backend(1).terminate()
    await fixture.clock.advance(5000)
    expect(fixture.server.backends.length).toBeLessThanOrEqual(6)
  })
})

describe('keepaliveMillis', () => {
  test('pings a connection that was silent for keepaliveMillis, and keeps its place', async () => {
    using fixture = new EngineFixture({ keepaliveMillis: 2500, idleTimeoutMillis: 0, max: 2 })
    await fixture.fill(2)
    await fixture.clock.advance(2499)
    expect(fixture.server.received).toEqual([])
    await fixture.clock.advance(1)
    expect(fixture.server.received).toEqual([PING, PING])
    await fixture.clock.advance(2500)
    expect(fixture.server.received).toHaveLength(4)
    expect(fixture.acquire().leased.id).toBe(2)
  })

  test('the ping of keepaliveMillis does not restart idleTimeoutMillis', async () => {
    using fixture = new EngineFixture({ keepaliveMillis: 700, idleTimeoutMillis: 2000 })
    await fixture.fill(1)
    await fixture.clock.advance(2000)
    expect(fixture.retired).toEqual(['1 idle-timeout'])
  })

  test('keepaliveMillis pings neither leased connections nor those on which the server has answered meanwhile', async () => {
    using fixture = new EngineFixture({ keepaliveMillis: 2000, idleTimeoutMillis: 0, max: 1 })
    const call = await fixture.lease()
    await fixture.clock.advance(5000)
    void call.leased.client.query('select 1')
    await fixture.clock.advance(0)
    call.release()
    await fixture.clock.advance(1999)
    expect(fixture.server.received).toEqual(['select 1'])
    await fixture.clock.advance(1)
    expect(fixture.server.received).toEqual(['select 1', PING])
  })

  test('a keepaliveMillis of 0 sends no ping', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 0 })
    await fixture.fill(1)
    await fixture.clock.advance(60_000)
    expect(fixture.server.received).toEqual([])
  })
})

describe('leakDetectionMillis', () => {
  const overdue = (fixture: EngineFixture) => fixture.eventsOf('connection-leak-suspected')

  test('reports a lease that has lasted for leakDetectionMillis, at that moment, and once', async () => {
    using fixture = new EngineFixture({ leakDetectionMillis: 2500 })
    await fixture.clock.advance(100)
    const [first] = [await fixture.lease(), await fixture.lease()]
    await fixture.clock.advance(1000)
    first.release()
    await fixture.clock.advance(1499)
    expect(overdue(fixture)).toEqual([])
    await fixture.clock.advance(1)
    expect(overdue(fixture)).toMatchObject([{ heldMillis: 2500, connection: { id: 2 } }])
    await fixture.clock.advance(10_000)
    expect(overdue(fixture)).toHaveLength(1)
  })

  test('marks the release of a reported lease as overdue, and reports the next lease again', async () => {
    using fixture = new EngineFixture({ leakDetectionMillis: 500, max: 1 })
    const call = await fixture.lease()
    await fixture.clock.advance(700)
    call.release()
    expect(fixture.events.at(-1)).toMatchObject({ type: 'connection-released', heldMillis: 700, wasOverdue: true })
    await fixture.lease()
    await fixture.clock.advance(500)
    expect(overdue(fixture)).toHaveLength(2)
  })

  test('a leakDetectionMillis of 0 reports no lease', async () => {
    using fixture = new EngineFixture()
    await fixture.lease()
    await fixture.clock.advance(60_000)
    expect(overdue(fixture)).toEqual([])
  })
})

test('a connection beyond maxIdle is closed at its release, unless a caller waits for it', async () => {
  using fixture = new EngineFixture({ max: 2, maxIdle: 1 })
  const calls = [await fixture.lease(), await fixture.lease()]
  const waiter = fixture.acquire()
  calls[0]?.release()
  expect(waiter.leased.id).toBe(1)
  calls[1]?.release()
  expect(fixture.retired).toEqual([])
  waiter.release()
  expect(fixture.retired).toEqual(['1 max-idle'])
  expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
})

test('maintenance does not keep the process alive', async () => {
  using fixture = new EngineFixture({ min: 2 })
  await fixture.fill(2)
  await fixture.clock.advance(5000)
  expect(fixture.clock.timers('process')).toBe(0)
  expect(fixture.clock.timers('nothing')).toBe(1)
})

test('maintenance sets no timer while the pool is empty', async () => {
  using fixture = new EngineFixture({ idleTimeoutMillis: 700 })
  await fixture.fill(1)
  await fixture.clock.advance(3000)
  expect(fixture.counts.total).toBe(0)
  expect(fixture.clock.timers('nothing')).toBe(0)
})
