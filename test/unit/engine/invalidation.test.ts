import { describe, expect, test } from 'vitest'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'
import { type Acquisition, EngineFixture } from './engine-fixture.ts'

describe('a loss', () => {
  test.each([
    { of: 'an idle connection', state: { wasLeased: false, wasPinged: false } },
    { of: 'a leased connection', state: { wasLeased: true, wasPinged: false } },
    { of: 'a connection in its ping', state: { wasLeased: false, wasPinged: true } },
  ])('publishes the loss of $of with its state and its cause', async ({ state }) => {
    using fixture = new EngineFixture({ prePing: { idleMillis: 0 }, max: 1 })
    await fixture.fill(1)
    if (state.wasPinged) fixture.server.backend(1).silent = true
    if (state.wasLeased || state.wasPinged) fixture.acquire()
    await fixture.clock.advance(0)
    const cause = adminShutdown()
    fixture.server.backend(1).terminate(cause)
    expect(fixture.eventsOf('connection-lost')).toMatchObject([{ ...state, loss: { cause } }])
    expect(fixture.eventsOf('pool-invalidated')).toEqual([
      { type: 'pool-invalidated', generation: 1, cause, wasAsked: false },
    ])
  })

  test('a loss makes no other connection suspect when the cause lies in its own session', async () => {
    using fixture = new EngineFixture({ prePing: { idleMillis: 60_000 } })
    await fixture.fill(2)
    fixture.server.backend(2).terminate(serverError('57P05', 'idle-session timeout', 'FATAL'))
    expect(fixture.eventsOf('pool-invalidated')).toEqual([])
    expect(fixture.acquire().leased.id).toBe(1)
  })

  test('a loss invalidates the others before it is published: a listener that acquires gets a new connection', async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'all' })
    await fixture.fill(2)
    const calls: Acquisition[] = []
    let isTold = false
    fixture.publisher.subscribe(({ type }) => {
      if (type !== 'connection-retired' || isTold) return
      isTold = true
      calls.push(fixture.acquire())
    })
    fixture.server.backend(1).terminate()
    await fixture.clock.advance(0)
    expect(calls.map(({ leased }) => leased.id)).toEqual([3])
  })
})

test('invalidate is published as asked for, with its cause', () => {
  using fixture = new EngineFixture()
  const cause = new Error('failover')
  fixture.engine.invalidate(cause)
  expect(fixture.eventsOf('pool-invalidated')).toEqual([
    { type: 'pool-invalidated', generation: 1, cause, wasAsked: true },
  ])
})

describe('dispose', () => {
  test('dispose sends Terminate over idle connections, and resolves when they are closed', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    fixture.server.hearsGoodbyes = false
    let isOver = false
    void fixture.engine.dispose(true).then(() => {
      isOver = true
    })
    expect(fixture.counts.total).toBe(0)
    expect(fixture.retired).toEqual(['1 disposed', '2 disposed'])
    expect(fixture.eventsOf('pool-disposed')).toEqual([{ type: 'pool-disposed', generation: 1 }])
    await fixture.clock.advance(0)
    expect(isOver).toBe(false)

    for (const backend of fixture.server.backends) backend.disappear()
    await fixture.clock.advance(0)
    expect(isOver).toBe(true)
    expect(fixture.server.received).toEqual(['Terminate', 'Terminate'])
  })

  test('dispose without `close` leaves the sockets to the other process that has them', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    await fixture.engine.dispose(false)
    expect(fixture.counts.total).toBe(0)
    expect(fixture.server.received).toEqual([])
    expect(fixture.server.backend(1).isOpen).toBe(true)
  })

  test.each([
    { close: true, received: ['Terminate'] },
    { close: false, received: [] },
  ])('dispose (close: $close) drops leased connections when they are released', async ({ close, received }) => {
    using fixture = new EngineFixture({ max: 1 })
    const holder = await fixture.lease()
    void fixture.engine.dispose(close)
    const waiter = fixture.acquire()
    expect(fixture.counts.total).toBe(1)
    holder.release()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
    expect(fixture.server.backend(1).received).toEqual(received)
  })

  test.each([{ close: true }, { close: false }])(
    'dispose (close: $close) leaves the pool usable',
    async ({ close }) => {
      using fixture = new EngineFixture({ max: 1 })
      await fixture.fill(1)
      void fixture.engine.dispose(close)
      const call = await fixture.lease()
      expect(call.leased.id).toBe(2)
      call.release()
      void fixture.engine.close()
      await fixture.clock.advance(0)
      expect(fixture.server.backend(2).received).toEqual(['Terminate'])
    },
  )

  test('dispose opens a new connection for the waiter of a disposed one that was being pinged', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.fill(1)
    fixture.server.backend(1).silent = true
    await fixture.clock.advance(600)
    const waiter = fixture.acquire()
    void fixture.engine.dispose(true)
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
  })

  test('dispose drops a connection that is being opened and that no waiter needs', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    fixture.server.welcome = 'hang'
    fixture.acquire({ connectionTimeoutMillis: 100 })
    await fixture.clock.advance(100)
    expect(fixture.counts).toEqual({ total: 1, idle: 0, waiting: 0 })
    await fixture.engine.dispose(true)
    expect(fixture.counts.total).toBe(0)
    expect(fixture.server.backend(1).isOpen).toBe(false)
  })

  test('dispose without `close` keeps a connection that is being opened for a waiter, and closes it later like any other', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = 'hang'
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    void fixture.engine.dispose(false)
    fixture.server.backend(1).accept()
    await fixture.clock.advance(0)
    call.release()
    void fixture.engine.close()
    await fixture.clock.advance(0)
    expect(fixture.server.backend(1).received).toEqual(['Terminate'])
  })
})

describe('another process', () => {
  test('a copied process drops every connection without a message to the server, leased ones too, and opens its own', async () => {
    using fixture = new EngineFixture({ max: 2 })
    const holder = await fixture.lease()
    await fixture.fill(1)
    fixture.pid++
    await fixture.clock.advance(1)
    const call = await fixture.lease()

    expect(fixture.eventsOf('process-changed')).toEqual([{ type: 'process-changed', from: 100, to: 101 }])
    expect(fixture.retired).toEqual(['1 other-process', '2 other-process'])
    expect(fixture.server.received).toEqual([])
    expect(fixture.server.backend(1).isOpen).toBe(true)
    expect(call.leased.id).toBe(3)
    holder.release()
    expect(fixture.counts.total).toBe(1)
  })

  test('a copied process serves the waiters when maintenance notices it, because the slots are free', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.lease()
    const waiter = fixture.acquire()
    fixture.pid++
    await fixture.clock.advance(1000)
    expect(waiter.leased.id).toBe(2)
  })

  test('a copied process goes on with its maintenance', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 700 })
    await fixture.fill(1)
    fixture.pid++
    await fixture.clock.advance(1)
    const call = await fixture.lease()
    call.release()
    await fixture.clock.advance(700)
    expect(fixture.retired).toEqual(['1 other-process', '2 idle-timeout'])
  })

  test('a copied process does not retry an opening of the old process that fails later', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = 'hang'
    fixture.acquire({ connectionTimeoutMillis: 40 })
    await fixture.clock.advance(200)
    fixture.pid++
    fixture.acquire()
    await fixture.clock.advance(1)
    fixture.server.backend(1).fail(adminShutdown())
    await fixture.clock.advance(500)
    expect(fixture.counts.total).toBe(1)
    expect(fixture.eventsOf('connect-failed')).toEqual([])
  })
})

describe('a process that was suspended', () => {
  test('a suspension is published once', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    fixture.clock.freeze(10_000)
    await fixture.clock.advance(1)
    fixture.acquire()
    await fixture.clock.advance(1000)
    expect(fixture.eventsOf('process-suspended')).toHaveLength(1)
  })

  test.each([
    ['refuses', systemError('ECONNREFUSED')],
    ['is silent', 'hang'],
  ] as const)('no suspension is published after an outage in which the server %s', async (_how, welcome) => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    fixture.server.welcome = welcome
    for (const backend of [1, 2]) fixture.server.backend(backend).fail(adminShutdown())
    await fixture.clock.advance(5000)
    expect(fixture.counts.total).toBe(0)
    const waiting = [fixture.acquire(), fixture.acquire()]
    await fixture.clock.advance(9000)
    waiting.push(fixture.acquire())
    await fixture.clock.advance(9000)
    fixture.server.welcome = 'accept'
    await fixture.clock.advance(9000)
    waiting.push(fixture.acquire())
    await fixture.clock.advance(6000)
    expect(waiting.filter((call) => call.connection)).not.toEqual([])
    expect(fixture.eventsOf('process-suspended')).toEqual([])
  })

  test('a suspension is published if it happens while the first connection is being opened', async () => {
    using fixture = new EngineFixture()
    fixture.server.welcome = 'hang'
    fixture.acquire()
    await fixture.clock.advance(500)
    fixture.clock.freeze(10_000)
    await fixture.clock.advance(1000)
    expect(fixture.eventsOf('process-suspended')).toHaveLength(1)
  })

  test('a suspension is not published if the pool has no connection', async () => {
    using fixture = new EngineFixture()
    fixture.clock.freeze(10_000)
    await fixture.clock.advance(1)
    fixture.acquire()
    expect(fixture.eventsOf('process-suspended')).toEqual([])
  })
})

test('an answered ping is published with the time that it took', async () => {
  using fixture = new EngineFixture({ max: 1 })
  await fixture.fill(1)
  const backend = fixture.server.backend(1)
  await fixture.clock.advance(600)
  backend.silent = true
  const call = fixture.acquire()
  await fixture.clock.advance(30)
  backend.answer()
  await fixture.clock.advance(0)
  expect(fixture.eventsOf('connection-pinged')).toMatchObject([{ tookMillis: 30 }])
  expect(call.leased.id).toBe(1)
})

test.each([0, 1, 2, 3, 4, 5, 6, 7])(
  'no answered ping is published if the connection was invalidated %i ticks after its answer',
  async (ticks) => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.fill(1)
    const backend = fixture.server.backend(1)
    await fixture.clock.advance(600)
    backend.silent = true
    fixture.acquire()
    backend.answer()
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
    fixture.engine.invalidate()
    await fixture.clock.advance(0)
    const order = fixture.events.map(({ type }) => type).filter((type) => /pinged|retired/.test(type))
    expect(order.join()).not.toContain('connection-retired,connection-pinged')
  },
)
