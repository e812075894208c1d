import { describe, expect, test } from 'vitest'
import { systemError } from '../../support/fake-client.ts'
import { EngineFixture } from './engine-fixture.ts'

const PING = ';'

describe('idleTimeoutMillis', () => {
  test('closes what lay idle for so long, with a polite goodbye', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 700 })
    await rig.fill(2)
    await rig.clock.advance(699)
    expect(rig.retired).toEqual([])
    await rig.clock.advance(1)
    expect(rig.retired).toEqual(['1 idle-timeout', '2 idle-timeout'])
    expect(rig.server.received).toEqual(['Terminate', 'Terminate'])
  })

  test('is exact beyond the first look', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 2500 })
    await rig.fill(1)
    await rig.clock.advance(2499)
    expect(rig.counts.idle).toBe(1)
    await rig.clock.advance(1)
    expect(rig.counts.idle).toBe(0)
  })

  test('counts anew from each return', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 1500, prePing: false })
    await rig.fill(1)
    await rig.clock.advance(1000)
    rig.call().release()
    await rig.clock.advance(1499)
    expect(rig.counts.idle).toBe(1)
    await rig.clock.advance(1)
    expect(rig.counts.idle).toBe(0)
  })

  test('leaves min connections alone, the freshest', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 700, min: 2 })
    await rig.fill(3)
    await rig.clock.advance(60_000)
    expect(rig.retired).toEqual(['1 idle-timeout'])
    expect(rig.counts.idle).toBe(2)
  })

  test('of 0 keeps what is idle', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 0 })
    await rig.fill(1)
    await rig.clock.advance(86_400_000)
    expect(rig.counts.idle).toBe(1)
  })

  test('does not touch what is leased', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 700 })
    await rig.fill(1)
    rig.call()
    await rig.clock.advance(60_000)
    expect(rig.retired).toEqual([])
  })
})

describe('maxLifetimeSeconds', () => {
  test('closes an idle connection at its end', async () => {
    using rig = new EngineFixture({ maxLifetimeSeconds: 10, maxLifetimeJitter: 0, idleTimeoutMillis: 0 })
    await rig.fill(1)
    await rig.clock.advance(9999)
    expect(rig.retired).toEqual([])
    await rig.clock.advance(1)
    expect(rig.retired).toEqual(['1 expired'])
  })

  test('spares min no more than the others, but replaces them', async () => {
    using rig = new EngineFixture({ maxLifetimeSeconds: 10, maxLifetimeJitter: 0, min: 1 })
    await rig.fill(1)
    await rig.clock.advance(10_000)
    expect(rig.retired).toEqual(['1 expired'])
    expect(rig.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('varies by chance, so that what was opened together does not end together', async () => {
    using rig = new EngineFixture({ maxLifetimeSeconds: 10, maxLifetimeJitter: 0.2, idleTimeoutMillis: 0, max: 2 })
    rig.clock.chance = 0.5
    const first = await rig.lease()
    rig.clock.chance = 0
    const second = await rig.lease()
    first.release()
    second.release()
    await rig.clock.advance(9000)
    expect(rig.retired).toEqual(['1 expired'])
    await rig.clock.advance(1000)
    expect(rig.retired).toEqual(['1 expired', '2 expired'])
  })
})

describe('min', () => {
  test('idle connections are kept ready once the pool is in use', async () => {
    using rig = new EngineFixture({ min: 3 })
    await rig.fill(1)
    await rig.clock.advance(1000)
    expect(rig.counts).toEqual({ total: 3, idle: 3, waiting: 0 })
  })

  test('idle connections are replaced when some are leased', async () => {
    using rig = new EngineFixture({ min: 2 })
    await rig.fill(2)
    rig.call()
    rig.call()
    await rig.clock.advance(1000)
    expect(rig.counts).toEqual({ total: 4, idle: 2, waiting: 0 })
  })

  test('never goes beyond max', async () => {
    using rig = new EngineFixture({ min: 2, max: 3 })
    await rig.fill(2)
    rig.call()
    rig.call()
    await rig.clock.advance(5000)
    expect(rig.counts).toEqual({ total: 3, idle: 1, waiting: 0 })
  })

  test('is made good again when the server is back', async () => {
    using rig = new EngineFixture({ min: 2 })
    await rig.fill(2)
    rig.server.welcome = systemError('ECONNREFUSED')
    rig.server.backend(1).terminate()
    await rig.clock.advance(5000)
    expect(rig.counts.total).toBe(0)

    rig.server.welcome = 'accept'
    await rig.clock.advance(3000)
    expect(rig.counts).toEqual({ total: 2, idle: 2, waiting: 0 })
  })

  test('does not try again while an attempt is under way', async () => {
    using rig = new EngineFixture({ min: 2 })
    await rig.fill(1)
    rig.server.welcome = 'hang'
    await rig.clock.advance(8000)
    expect(rig.server.backends).toHaveLength(2)
  })

  test('tries at each look only, as long as nobody waits for a server that is away', async () => {
    using rig = new EngineFixture({ min: 1 })
    await rig.fill(1)
    rig.server.welcome = systemError('ECONNREFUSED')
    rig.server.backend(1).terminate()
    await rig.clock.advance(5000)
    expect(rig.server.backends.length).toBeLessThanOrEqual(6)
  })
})

describe('keepaliveMillis', () => {
  test('pings what has been silent for so long, and leaves it in its place', async () => {
    using rig = new EngineFixture({ keepaliveMillis: 2500, idleTimeoutMillis: 0, max: 2 })
    await rig.fill(2)
    await rig.clock.advance(2499)
    expect(rig.server.received).toEqual([])
    await rig.clock.advance(1)
    expect(rig.server.received).toEqual([PING, PING])
    await rig.clock.advance(2500)
    expect(rig.server.received).toHaveLength(4)
    expect(rig.call().leased.id).toBe(2)
  })

  test('does not make anything younger: idleTimeoutMillis counts on', async () => {
    using rig = new EngineFixture({ keepaliveMillis: 700, idleTimeoutMillis: 2000 })
    await rig.fill(1)
    await rig.clock.advance(2000)
    expect(rig.retired).toEqual(['1 idle-timeout'])
  })

  test('leaves alone what has answered its holder meanwhile, and what is leased', async () => {
    using rig = new EngineFixture({ keepaliveMillis: 2000, idleTimeoutMillis: 0, max: 1 })
    const call = await rig.lease()
    await rig.clock.advance(5000)
    void call.leased.client.query('select 1')
    await rig.clock.advance(0)
    call.release()
    await rig.clock.advance(1999)
    expect(rig.server.received).toEqual(['select 1'])
    await rig.clock.advance(1)
    expect(rig.server.received).toEqual(['select 1', PING])
  })

  test('of 0 pings nobody', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 0 })
    await rig.fill(1)
    await rig.clock.advance(60_000)
    expect(rig.server.received).toEqual([])
  })
})

describe('leakDetectionMillis', () => {
  const overdue = (rig: EngineFixture) => rig.events.filter(({ type }) => type === 'connection-leak-suspected')

  test('tells of a lease that has lasted so long, exactly then, and once', async () => {
    using rig = new EngineFixture({ leakDetectionMillis: 2500 })
    await rig.clock.advance(100)
    const [first] = [await rig.lease(), await rig.lease()]
    await rig.clock.advance(1000)
    first.release()
    await rig.clock.advance(1499)
    expect(overdue(rig)).toEqual([])
    await rig.clock.advance(1)
    expect(overdue(rig)).toMatchObject([{ heldMillis: 2500, connection: { id: 2 } }])
    await rig.clock.advance(10_000)
    expect(overdue(rig)).toHaveLength(1)
  })

  test('says so again when it comes back, and of the next lease anew', async () => {
    using rig = new EngineFixture({ leakDetectionMillis: 500, max: 1 })
    const call = await rig.lease()
    await rig.clock.advance(700)
    call.release()
    expect(rig.events.at(-1)).toMatchObject({ type: 'connection-released', heldMillis: 700, wasOverdue: true })
    await rig.lease()
    await rig.clock.advance(500)
    expect(overdue(rig)).toHaveLength(2)
  })

  test('of 0 tells nobody', async () => {
    using rig = new EngineFixture()
    await rig.lease()
    await rig.clock.advance(60_000)
    expect(overdue(rig)).toEqual([])
  })
})

test('a surplus connection closes when it comes back, unless somebody waits for it', async () => {
  using rig = new EngineFixture({ max: 2, maxIdle: 1 })
  const calls = [await rig.lease(), await rig.lease()]
  const waiter = rig.call()
  calls[0]?.release()
  expect(waiter.leased.id).toBe(1)
  calls[1]?.release()
  expect(rig.retired).toEqual([])
  waiter.release()
  expect(rig.retired).toEqual(['1 max-idle'])
  expect(rig.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
})

test('the chores keep no process alive', async () => {
  using rig = new EngineFixture({ min: 2 })
  await rig.fill(2)
  await rig.clock.advance(5000)
  expect(rig.clock.timers('process')).toBe(0)
  expect(rig.clock.timers('nothing')).toBe(1)
})

test('the chores rest when there is nothing to look after', async () => {
  using rig = new EngineFixture({ idleTimeoutMillis: 700 })
  await rig.fill(1)
  await rig.clock.advance(3000)
  expect(rig.counts.total).toBe(0)
  expect(rig.clock.timers('nothing')).toBe(0)
})
