import { describe, expect, test } from 'vitest'
import { serverError } from '../../support/fake-client.ts'
import { answer, Call, READS, sharedEngine } from './shared-engine.ts'

describe('a read when all connections are in use', () => {
  test('is sent at once, behind others that only read', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    const calls = READS.slice(0, 3).map((text) => new Call(fixture, text))
    expect(backend.received).toEqual(READS.slice(0, 3))
    await answer(fixture)
    expect(calls.map((call) => call.answer)).toEqual(READS.slice(0, 3))
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('waits when as many are in flight as `maxPipeline` says', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    const calls = READS.map((text) => new Call(fixture, text))
    expect(backend.received).toEqual(READS.slice(0, 3))
    expect(fixture.counts.waiting).toBe(2)
    await answer(fixture)
    expect(backend.received).toEqual(READS)
    await answer(fixture)
    expect(calls.map((call) => call.answer)).toEqual(READS)
  })

  test('counts as one caller that had to wait or not, and as multiplexed; its connection has one lease', async () => {
    using fixture = await sharedEngine()
    fixture.server.backend(1).silent = true
    const { counts } = fixture.publisher
    const before = counts.snapshot('', 0)
    for (const text of READS) new Call(fixture, text)
    await fixture.clock.advance(10)
    await answer(fixture)
    await fixture.clock.advance(10)
    await answer(fixture)
    const { acquires, leases, statements } = counts.snapshot('', 0)
    expect(acquires.ready - before.acquires.ready).toBe(3)
    expect(acquires.waited - before.acquires.waited).toBe(2)
    expect(statements.multiplexed - before.statements.multiplexed).toBe(4)
    expect(leases.ended - before.leases.ended).toBe(1)
    expect(leases.useMillis - before.leases.useMillis).toBe(20)
  })

  test('waits with `maxPipeline: 1`, the default', async () => {
    using fixture = await sharedEngine({ maxPipeline: 1 })
    const backend = fixture.server.backend(1)
    backend.silent = true
    for (const text of READS) new Call(fixture, text)
    expect(backend.received).toEqual(['select 1'])
  })

  test('follows those on the connection with the fewest in flight', async () => {
    using fixture = await sharedEngine({ max: 2, maxPipeline: 4 })
    for (const backend of fixture.server.backends) backend.silent = true
    for (let call = 0; call < 6; call++) new Call(fixture, 'select 1')
    expect(fixture.server.backends.map(({ received }) => received.length)).toEqual([3, 3])
  })

  test.each([
    ['a write', 'insert into t values (1)'],
    ['a text that the pool has not seen often enough', 'select new'],
    ['a read that locks', 'select 1 for update'],
    ['a function that may do anything', 'select f()'],
    ['several statements', 'select 1; select 2'],
    ['BEGIN', 'begin'],
    ['a cursor-like portion', { text: 'select 1', rows: 10 }],
    ['a read that must not run twice', { text: 'select 1', retryRead: false }],
  ])('waits for a connection of its own if it is %s', async (_, query) => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'other', query)
    expect(backend.received).toEqual(['select 1'])
    expect(fixture.counts.waiting).toBe(1)
  })

  test('does not follow a write', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    new Call(fixture, 'insert into t values (1)')
    new Call(fixture, 'select 1')
    expect(backend.received).toEqual(['insert into t values (1)'])
  })

  test('does not follow a client of connect()', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    fixture.acquire()
    new Call(fixture, 'select 1')
    expect(backend.received).toEqual([])
  })

  test('follows no read that is older than 5 ms', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    new Call(fixture, 'select 1')
    await fixture.clock.advance(6)
    new Call(fixture, 'select 2')
    expect(backend.received).toEqual(['select 1'])
  })

  test('has a connection of its own if its text takes more than 5 ms', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    for (let run = 0; run < 20; run++) {
      backend.silent = true
      new Call(fixture, 'select slow')
      await fixture.clock.advance(30)
      backend.silent = false
      await answer(fixture)
      // The others are what is usual.
      for (const text of [...READS, ...READS]) {
        new Call(fixture, text)
        await fixture.clock.advance(0)
      }
    }
    backend.received.length = 0
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'select slow')
    expect(backend.received).toEqual(['select 1'])
  })

  test('is not sent to a session that may be behind a pooler', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    for (const { session } of fixture.engine.inventory.all()) session.servedBy(4711)
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'select 2')
    expect(backend.received).toEqual(['select 1'])
  })

  test.each(['session', 'transaction'] as const)('is not sent anywhere with `pooler: %s`', async (pooler) => {
    using fixture = await sharedEngine({ pooler })
    const backend = fixture.server.backend(1)
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'select 2')
    expect(backend.received.slice(-1)).toEqual(['select 1'])
  })

  test('is not sent to a connection that was invalidated', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    const first = new Call(fixture, 'select 1')
    fixture.engine.invalidate()
    new Call(fixture, 'select 2')
    expect(backend.received).toEqual(['select 1'])
    await answer(fixture)
    expect(first.answer).toBe('select 1')
    expect(fixture.retired).toEqual(['1 invalidated'])
  })

  test('waits where a listener has to see each lease', async () => {
    const listens = { toLeases: false }
    using fixture = await sharedEngine({}, listens)
    const backend = fixture.server.backend(1)
    listens.toLeases = true
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'select 2')
    expect(backend.received).toEqual(['select 1'])
  })

  test('waits for a connection that can be opened', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    fixture.engine.invalidate()
    await fixture.clock.advance(0)
    fixture.server.welcome = 'hang'
    new Call(fixture, 'select 1')
    expect(backend.received).toEqual(['Terminate'])
    expect(fixture.counts).toEqual({ total: 1, idle: 0, waiting: 1 })
  })
})

describe('a waiter that needs a connection for itself', () => {
  test('gets the shared one when it has drained, before reads that came later', async () => {
    using fixture = await sharedEngine({ maxPipeline: 10 })
    const backend = fixture.server.backend(1)
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'select 2')
    const exclusive = fixture.acquire()
    const late = new Call(fixture, 'select 3')
    expect(backend.received).toEqual(['select 1', 'select 2'])
    await answer(fixture)
    expect(exclusive.connection).toBeDefined()
    expect(late.isTold).toBe(false)
    exclusive.release()
    await answer(fixture)
    expect(late.answer).toBe('select 3')
  })

  test('claims one connection, and the others are shared as before', async () => {
    using fixture = await sharedEngine({ max: 3, maxPipeline: 10 })
    const [one, two, three] = fixture.server.backends
    for (const backend of fixture.server.backends) backend.silent = true
    for (let call = 0; call < 6; call++) new Call(fixture, 'select 1')
    const exclusive = fixture.acquire()
    for (let call = 0; call < 6; call++) new Call(fixture, 'select 2')
    expect([one, two, three].map((each) => each?.received.length).toSorted()).toEqual([2, 5, 5])
    const draining = fixture.server.backends.find(({ received }) => received.length === 2)
    await answer(fixture, draining)
    expect(exclusive.leased.backendPid).toBe(draining?.pid)
  })

  test('leaves its claim to the next read when another connection was free first', async () => {
    using fixture = await sharedEngine({ max: 2, maxPipeline: 10 })
    for (const backend of fixture.server.backends) backend.silent = true
    const other = fixture.acquire()
    const shared = fixture.server.backends.find(({ pid }) => pid !== other.leased.backendPid)
    new Call(fixture, 'select 1')
    new Call(fixture, 'select 1')
    const exclusive = fixture.acquire()
    new Call(fixture, 'select 2')
    expect(shared?.received).toEqual(['select 1', 'select 1'])
    other.release()
    expect(exclusive.leased).toBe(other.leased)
    expect(shared?.received).toEqual(['select 1', 'select 1', 'select 2'])
  })

  test('is passed by no read, however many come, as soon as its connection has drained', async () => {
    using fixture = await sharedEngine({ max: 2, maxPipeline: 3 })
    for (const backend of fixture.server.backends) backend.silent = true
    for (let call = 0; call < 6; call++) new Call(fixture, 'select 1')
    const exclusive = fixture.acquire()
    for (let round = 0; round < 3 && !exclusive.connection; round++) {
      for (let call = 0; call < 6; call++) new Call(fixture, 'select 2')
      for (const backend of fixture.server.backends) await answer(fixture, backend)
    }
    expect(exclusive.connection).toBeDefined()
  })

  test('that gives up lets its connection be shared again', async () => {
    using fixture = await sharedEngine({ maxPipeline: 10 })
    const backend = fixture.server.backend(1)
    backend.silent = true
    new Call(fixture, 'select 1')
    new Call(fixture, 'select 1')
    const controller = new AbortController()
    const exclusive = fixture.acquire({ signal: controller.signal })
    controller.abort(new Error('Given up'))
    await fixture.clock.advance(0)
    expect(exclusive.error?.message).toBe('Given up')
    new Call(fixture, 'select 2')
    expect(backend.received).toEqual(['select 1', 'select 1', 'select 2'])
  })
})

describe('the end of a shared read', () => {
  test('is told to its own caller, also if one in front of it fails', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.failures.set('select 2', serverError('P0001', 'No 2'))
    backend.silent = true
    const calls = READS.slice(0, 3).map((text) => new Call(fixture, text))
    await answer(fixture)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'No 2', 'select 3'])
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('closes the connection if it has left a transaction open, and the others run again', async () => {
    using fixture = await sharedEngine()
    const backend = fixture.server.backend(1)
    backend.silent = true
    const calls = READS.slice(0, 3).map((text) => new Call(fixture, text))
    backend.wire.emit('commandComplete', { text: 'SELECT' })
    backend.readyForQuery('T')
    await fixture.clock.advance(10)
    expect(fixture.retired).toEqual(['1 lost'])
    expect(calls.map((call) => [call.told, call.error])).toEqual(Array(3).fill([1, undefined]))
  })
})
