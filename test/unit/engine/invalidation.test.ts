import { describe, expect, test } from 'vitest'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'
import { type Call, EngineFixture } from './engine-fixture.ts'

const told = (rig: EngineFixture, type: string): unknown[] => rig.events.filter((event) => event.type === type)

describe('a loss', () => {
  test.each([
    { of: 'an idle connection', state: { wasLeased: false, wasPinged: false } },
    { of: 'a leased connection', state: { wasLeased: true, wasPinged: false } },
    { of: 'a connection in its ping', state: { wasLeased: false, wasPinged: true } },
  ])('of $of is told with what it was doing, and why', async ({ state }) => {
    using rig = new EngineFixture({ prePing: { idleMillis: 0 }, max: 1 })
    await rig.fill(1)
    if (state.wasPinged) rig.server.backend(1).silent = true
    if (state.wasLeased || state.wasPinged) rig.call()
    await rig.clock.advance(0)
    const cause = adminShutdown()
    rig.server.backend(1).terminate(cause)
    expect(told(rig, 'connection-lost')).toMatchObject([{ ...state, loss: { cause } }])
    expect(told(rig, 'pool-invalidated')).toEqual([{ type: 'pool-invalidated', generation: 1, cause, wasAsked: false }])
  })

  test("of a session's own fault makes nobody else suspect", async () => {
    using rig = new EngineFixture({ prePing: { idleMillis: 60_000 } })
    await rig.fill(2)
    rig.server.backend(2).terminate(serverError('57P05', 'idle-session timeout', 'FATAL'))
    expect(told(rig, 'pool-invalidated')).toEqual([])
    expect(rig.call().leased.id).toBe(1)
  })

  test('has condemned the others before anybody hears of it: who acquires in a listener gets a new one', async () => {
    using rig = new EngineFixture()
    await rig.fill(2)
    const calls: Call[] = []
    let isTold = false
    rig.publisher.subscribe(({ type }) => {
      if (type !== 'connection-retired' || isTold) return
      isTold = true
      calls.push(rig.call())
    })
    rig.server.backend(1).terminate()
    await rig.clock.advance(0)
    expect(calls.map(({ leased }) => leased.id)).toEqual([3])
  })
})

test('invalidate is told as asked for, with its cause', () => {
  using rig = new EngineFixture()
  const cause = new Error('failover')
  rig.engine.invalidate(cause)
  expect(told(rig, 'pool-invalidated')).toEqual([{ type: 'pool-invalidated', generation: 1, cause, wasAsked: true }])
})

describe('dispose', () => {
  test('says goodbye to idle connections, and resolves when they are closed', async () => {
    using rig = new EngineFixture()
    await rig.fill(2)
    rig.server.hearsGoodbyes = false
    let isOver = false
    void rig.engine.dispose(true).then(() => {
      isOver = true
    })
    expect(rig.counts.total).toBe(0)
    expect(rig.retired).toEqual(['1 disposed', '2 disposed'])
    expect(told(rig, 'pool-disposed')).toEqual([{ type: 'pool-disposed', generation: 1 }])
    await rig.clock.advance(0)
    expect(isOver).toBe(false)

    for (const backend of rig.server.backends) backend.disappear()
    await rig.clock.advance(0)
    expect(isOver).toBe(true)
    expect(rig.server.received).toEqual(['Terminate', 'Terminate'])
  })

  test('without a goodbye leaves the sockets to whoever else has them', async () => {
    using rig = new EngineFixture()
    await rig.fill(1)
    await rig.engine.dispose(false)
    expect(rig.counts.total).toBe(0)
    expect(rig.server.received).toEqual([])
    expect(rig.server.backend(1).isOpen).toBe(true)
  })

  test.each([
    { close: true, received: ['Terminate'] },
    { close: false, received: [] },
  ])('(close: $close) lets leased ones go when they come back', async ({ close, received }) => {
    using rig = new EngineFixture({ max: 1 })
    const holder = await rig.lease()
    void rig.engine.dispose(close)
    const waiter = rig.call()
    expect(rig.counts.total).toBe(1)
    holder.release()
    await rig.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
    expect(rig.server.backend(1).received).toEqual(received)
  })

  test.each([{ close: true }, { close: false }])('(close: $close) leaves the pool usable', async ({ close }) => {
    using rig = new EngineFixture({ max: 1 })
    await rig.fill(1)
    void rig.engine.dispose(close)
    const call = await rig.lease()
    expect(call.leased.id).toBe(2)
    call.release()
    void rig.engine.close()
    await rig.clock.advance(0)
    expect(rig.server.backend(2).received).toEqual(['Terminate'])
  })

  test('opens a new connection for who waited for the ping of a disposed one', async () => {
    using rig = new EngineFixture({ max: 1 })
    await rig.fill(1)
    rig.server.backend(1).silent = true
    await rig.clock.advance(600)
    const waiter = rig.call()
    void rig.engine.dispose(true)
    await rig.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
  })

  test('lets go of what is being opened for nobody', async () => {
    using rig = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    rig.server.welcome = 'hang'
    rig.call({ connectionTimeoutMillis: 100 })
    await rig.clock.advance(100)
    expect(rig.counts).toEqual({ total: 1, idle: 0, waiting: 0 })
    await rig.engine.dispose(true)
    expect(rig.counts.total).toBe(0)
    expect(rig.server.backend(1).isOpen).toBe(false)
  })

  test('without a goodbye keeps what is being opened for somebody: it is closed at its end like any other', async () => {
    using rig = new EngineFixture({ max: 1 })
    rig.server.welcome = 'hang'
    const call = rig.call()
    await rig.clock.advance(0)
    void rig.engine.dispose(false)
    rig.server.backend(1).accept()
    await rig.clock.advance(0)
    call.release()
    void rig.engine.close()
    await rig.clock.advance(0)
    expect(rig.server.backend(1).received).toEqual(['Terminate'])
  })
})

describe('another process', () => {
  test('drops every connection without a word, leased ones too, and opens its own', async () => {
    using rig = new EngineFixture({ max: 2 })
    const holder = await rig.lease()
    await rig.fill(1)
    rig.pid++
    await rig.clock.advance(1)
    const call = await rig.lease()

    expect(told(rig, 'process-changed')).toEqual([{ type: 'process-changed', from: 100, to: 101 }])
    expect(rig.retired).toEqual(['1 other-process', '2 other-process'])
    expect(rig.server.received).toEqual([])
    expect(rig.server.backend(1).isOpen).toBe(true)
    expect(call.leased.id).toBe(3)
    holder.release()
    expect(rig.counts.total).toBe(1)
  })

  test('serves who waits when upkeep notices it: the slots are free', async () => {
    using rig = new EngineFixture({ max: 1 })
    await rig.lease()
    const waiter = rig.call()
    rig.pid++
    await rig.clock.advance(1000)
    expect(waiter.leased.id).toBe(2)
  })

  test('goes on with its chores', async () => {
    using rig = new EngineFixture({ idleTimeoutMillis: 700 })
    await rig.fill(1)
    rig.pid++
    await rig.clock.advance(1)
    const call = await rig.lease()
    call.release()
    await rig.clock.advance(700)
    expect(rig.retired).toEqual(['1 other-process', '2 idle-timeout'])
  })

  test('does not probe for an attempt of the old one that fails after all', async () => {
    using rig = new EngineFixture({ max: 1 })
    rig.server.welcome = 'hang'
    rig.call({ connectionTimeoutMillis: 40 })
    await rig.clock.advance(200)
    rig.pid++
    rig.call()
    await rig.clock.advance(1)
    rig.server.backend(1).fail(adminShutdown())
    await rig.clock.advance(500)
    expect(rig.counts.total).toBe(1)
    expect(told(rig, 'connect-failed')).toEqual([])
  })
})

describe('a process that stood still', () => {
  test('is told of, once', async () => {
    using rig = new EngineFixture()
    await rig.fill(1)
    rig.clock.freeze(10_000)
    await rig.clock.advance(1)
    rig.call()
    await rig.clock.advance(1000)
    expect(told(rig, 'process-suspended')).toHaveLength(1)
  })

  test.each([
    ['refuses', systemError('ECONNREFUSED')],
    ['is silent', 'hang'],
  ] as const)('is not told of after an outage in which the server %s: only the pool slept', async (_how, welcome) => {
    using rig = new EngineFixture()
    await rig.fill(2)
    rig.server.welcome = welcome
    rig.server.backend(1).fail(adminShutdown())
    await rig.clock.advance(5000)
    expect(rig.counts.total).toBe(0)
    const waiting = [rig.call(), rig.call()]
    await rig.clock.advance(9000)
    waiting.push(rig.call())
    await rig.clock.advance(9000)
    rig.server.welcome = 'accept'
    await rig.clock.advance(9000)
    waiting.push(rig.call())
    await rig.clock.advance(3000)
    expect(waiting.filter((call) => call.connection)).not.toEqual([])
    expect(told(rig, 'process-suspended')).toEqual([])
  })

  test('is told of if it did while the first connection was being opened', async () => {
    using rig = new EngineFixture()
    rig.server.welcome = 'hang'
    rig.call()
    await rig.clock.advance(500)
    rig.clock.freeze(10_000)
    await rig.clock.advance(1000)
    expect(told(rig, 'process-suspended')).toHaveLength(1)
  })

  test('is not told of where there is nothing that could have suffered', async () => {
    using rig = new EngineFixture()
    rig.clock.freeze(10_000)
    await rig.clock.advance(1)
    rig.call()
    expect(told(rig, 'process-suspended')).toEqual([])
  })
})

test('an answered ping is told of with its time', async () => {
  using rig = new EngineFixture({ max: 1 })
  await rig.fill(1)
  const backend = rig.server.backend(1)
  await rig.clock.advance(600)
  backend.silent = true
  const call = rig.call()
  await rig.clock.advance(30)
  backend.answer()
  await rig.clock.advance(0)
  expect(told(rig, 'connection-pinged')).toMatchObject([{ tookMillis: 30 }])
  expect(call.leased.id).toBe(1)
})

test.each([0, 1, 2, 3, 4, 5, 6, 7])(
  'nobody is told that a connection is well which was condemned %i ticks after its answer',
  async (ticks) => {
    using rig = new EngineFixture({ max: 1 })
    await rig.fill(1)
    const backend = rig.server.backend(1)
    await rig.clock.advance(600)
    backend.silent = true
    rig.call()
    backend.answer()
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
    rig.engine.invalidate()
    await rig.clock.advance(0)
    const order = rig.events.map(({ type }) => type).filter((type) => /pinged|retired/.test(type))
    expect(order.join()).not.toContain('connection-retired,connection-pinged')
  },
)
