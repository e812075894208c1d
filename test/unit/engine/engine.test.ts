import { describe, expect, test, vi } from 'vitest'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'
import { EngineFixture, PING } from './engine-fixture.ts'

describe('acquire, while a connection is idle,', () => {
  test('leases a fresh connection before acquire returns', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)

    expect(fixture.acquire().connection).toBeDefined()
  })

  test('leases an idle connection again instead of opening a new one', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)

    const first = fixture.acquire()
    first.release()
    expect(fixture.acquire().leased.id).toBe(first.leased.id)
    expect(fixture.opened).toBe(1)
  })

  test('leases the idle connection first that was used last', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(3)
    expect(fixture.acquire().leased.id).toBe(3)
    expect(fixture.acquire().leased.id).toBe(2)
  })
})

describe('the waiters', () => {
  test('serves waiters in the order of their arrival', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const holder = await fixture.lease()
    const calls = [fixture.acquire(), fixture.acquire(), fixture.acquire()]

    let current = holder
    for (const call of calls) {
      expect(call.connection).toBeUndefined()
      current.release()
      expect(call.leased.id).toBe(1)
      current = call
    }
  })

  test('serves a waiter before a later caller, also while a connection is being released', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const holder = await fixture.lease()
    const waiter = fixture.acquire()
    holder.release()
    const late = fixture.acquire()
    expect(waiter.connection).toBeDefined()
    expect(late.connection).toBeUndefined()
  })

  test('serves a waiter with a released connection if that comes before the one being opened for it', async () => {
    using fixture = new EngineFixture({ max: 2 })
    const holder = await fixture.lease()
    fixture.server.welcome = 'hang'
    const waiter = fixture.acquire()
    await fixture.clock.advance(0)

    holder.release()
    expect(waiter.leased.id).toBe(1)

    fixture.server.backend(2).accept()
    await fixture.clock.advance(0)
    expect(fixture.counts).toEqual({ total: 2, idle: 1, waiting: 0 })
  })

  test('serves a waiter with an opened connection if that comes before any is released', async () => {
    using fixture = new EngineFixture({ max: 2 })
    const holder = await fixture.lease()
    const waiter = fixture.acquire()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
    holder.release()
  })

  test('opens connections for waiters until the pool is full, and no more', async () => {
    using fixture = new EngineFixture({ max: 3 })
    const calls = fixture.acquireMany(5)
    expect(fixture.counts).toEqual({ total: 3, idle: 0, waiting: 5 })
    await fixture.clock.advance(0)
    expect(calls.filter(({ connection }) => connection)).toHaveLength(3)
    expect(fixture.server.backends).toHaveLength(3)
  })

  test('opens only as many connections as there are waiters', async () => {
    using fixture = new EngineFixture({ max: 10 })
    fixture.acquire()
    fixture.acquire()
    await fixture.clock.advance(0)
    expect(fixture.server.backends).toHaveLength(2)
  })
})

describe('the pre-ping', () => {
  test('pings a connection before its lease that was idle for idleMillis', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    await fixture.clock.advance(500)

    const call = fixture.acquire()
    expect(call.connection).toBeUndefined()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(1)
    expect(fixture.server.received).toEqual([PING])
  })

  test('sends no ping over a connection that was idle for less', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    await fixture.clock.advance(499)
    expect(fixture.acquire().connection).toBeDefined()
    expect(fixture.server.received).toEqual([])
  })

  test('sends no ping over a new connection', async () => {
    using fixture = new EngineFixture({ prePing: { idleMillis: 0 } })
    await fixture.lease()
    expect(fixture.server.received).toEqual([])
  })

  test('pings before each lease when idleMillis is 0', async () => {
    using fixture = new EngineFixture({ prePing: { idleMillis: 0 } })
    const first = await fixture.lease()
    first.release()
    const second = await fixture.lease()
    second.release()
    await fixture.lease()
    expect(fixture.server.received).toEqual([PING, PING])
    expect(fixture.opened).toBe(1)
  })

  test('sends no ping when prePing is false', async () => {
    using fixture = new EngineFixture({ prePing: false, idleTimeoutMillis: 0 })
    await fixture.fill(1)
    await fixture.clock.advance(3_600_000)
    expect(fixture.acquire().connection).toBeDefined()
    expect(fixture.server.received).toEqual([])
  })

  test('leases a new connection when a ping gets no answer within its timeout', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    await fixture.clock.advance(500)
    fixture.server.backend(1).silent = true

    const call = fixture.acquire()
    await fixture.clock.advance(999)
    expect(call.connection).toBeUndefined()
    await fixture.clock.advance(1)
    expect(call.leased.id).toBe(2)
    expect(fixture.server.backend(1).isOpen).toBe(false)
    expect(fixture.server.backend(1).received).toEqual([PING]) // And no Terminate.
  })

  test('takes an SQL error as the answer to a ping: a cancel request for the last holder may come late', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.fill(1)
    await fixture.clock.advance(500)
    fixture.server.backend(1).failures.set(PING, serverError('57014', 'canceling statement due to user request'))

    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(1)
    expect(call.leased.inSync).toBe(true)
  })

  test('keeps the place of a waiter in the queue when its ping fails', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.fill(1)
    await fixture.clock.advance(500)
    fixture.server.backend(1).silent = true

    const first = fixture.acquire()
    const second = fixture.acquire()
    await fixture.clock.advance(1000)
    expect(first.leased.id).toBe(2)
    expect(second.connection).toBeUndefined()
    first.release()
    expect(second.leased.id).toBe(2)
  })

  test('serves the first waiter with a pinged connection, not the one that it was pinged for', async () => {
    using fixture = new EngineFixture({ max: 2 })
    await fixture.fill(2)
    await fixture.clock.advance(500)
    fixture.server.backend(2).silent = true

    const first = fixture.acquire() // Pings 2, which is silent.
    const second = fixture.acquire() // Pings 1.
    await fixture.clock.advance(0)
    expect(first.leased.id).toBe(1)
    expect(second.connection).toBeUndefined()
  })

  test('retires all idle connections after three failed pings in a row, and opens a new one', async () => {
    using fixture = new EngineFixture({ max: 6, invalidateOnDisconnect: 'one', prePing: { timeoutMillis: 100 } })
    await fixture.fill(6)
    await fixture.clock.advance(500)
    for (const backend of fixture.server.backends) backend.silent = true

    const call = fixture.acquire()
    await fixture.clock.advance(300)
    expect(fixture.server.received.filter((sql) => sql === PING)).toHaveLength(3)
    expect(fixture.retired).toEqual(['6 lost', '5 lost', '4 lost', '1 invalidated', '2 invalidated', '3 invalidated'])
    expect(call.leased.id).toBe(7)
  })

  test('behind a pooler a ping may take 5 s, and a late one ends only its own connection', async () => {
    using fixture = new EngineFixture({ max: 6, pooler: 'session', idleTimeoutMillis: 0 })
    await fixture.fill(6)
    await fixture.clock.advance(500)
    for (const backend of fixture.server.backends) backend.silent = true

    const call = fixture.acquire()
    await fixture.clock.advance(4999)
    expect(fixture.retired).toEqual([])
    await fixture.clock.advance(1)
    expect(fixture.retired).toEqual(['6 lost'])
    // One is opened in its place while the next one is pinged.
    expect(call.leased.id).toBe(7)
    expect(fixture.counts.total).toBe(6)
  })

  test('behind a pooler a ping has the time that the user gave it, and any number may be late', async () => {
    using fixture = new EngineFixture({ max: 6, pooler: 'transaction', prePing: { timeoutMillis: 100 } })
    await fixture.fill(6)
    await fixture.clock.advance(500)
    for (const id of [3, 4, 5, 6]) fixture.server.backend(id).silent = true

    const calls = fixture.acquireMany(4)
    await fixture.clock.advance(100)
    expect(fixture.retired).toEqual(['6 lost', '5 lost', '4 lost', '3 lost'])
    await fixture.clock.advance(0)
    expect(calls.every(({ connection }) => connection !== undefined)).toBe(true)
  })

  test('counts failed pings from 0 again after one that was answered', async () => {
    using fixture = new EngineFixture({ max: 6, invalidateOnDisconnect: 'one', prePing: { timeoutMillis: 100 } })
    await fixture.fill(6)
    await fixture.clock.advance(500)
    for (const number of [6, 5, 3, 2]) fixture.server.backend(number).silent = true

    const first = fixture.acquire()
    await fixture.clock.advance(200)
    expect(first.leased.id).toBe(4)
    const second = fixture.acquire()
    await fixture.clock.advance(200)
    expect(second.leased.id).toBe(1)
  })

  test('keeps a connection when the answer to its ping lies unread because the event loop was blocked', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    await fixture.clock.advance(500)
    const backend = fixture.server.backend(1)
    backend.silent = true

    const call = fixture.acquire()
    await fixture.clock.blockEventLoop(5000, () => backend.answer())
    expect(call.leased.id).toBe(1)
    expect(fixture.retired).toEqual([])
  })

  test('leases no connection that dies in the same moment in which its ping is answered', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(1)
    await fixture.clock.advance(500)
    const call = fixture.acquire()
    fixture.server.backend(1).terminate()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(2)
    expect(fixture.retired).toEqual(['1 lost'])
  })
})

describe('one disconnect', () => {
  test("with invalidateOnDisconnect 'all' a disconnect that is seen on an idle connection retires every older one", async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'all' })
    await fixture.fill(3)
    fixture.server.backend(2).terminate()
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 lost', '3 invalidated'])
  })

  test('retires every older connection when a disconnect is seen by a ping', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(3)
    await fixture.clock.advance(500)
    fixture.server.backend(3).silent = true
    fixture.acquire()
    await fixture.clock.advance(1000)
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 invalidated', '3 lost'])
  })

  test("with invalidateOnDisconnect 'all' a disconnect that is seen by a statement retires every older connection", async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'all' })
    await fixture.fill(3)
    const call = fixture.acquire()
    const query = call.leased.client.query('select 1').catch((error: unknown) => error)
    fixture.server.backend(3).fail(systemError('ECONNRESET'))
    await fixture.clock.advance(0)
    expect(await query).toMatchObject({ name: 'ConnectionLostError', code: 'ECONNRESET', sent: true })
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 invalidated', '3 lost'])
  })

  test("with invalidateOnDisconnect 'all' a disconnect retires older leased connections when they are released", async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'all' })
    const [first, second] = [fixture.acquire(), fixture.acquire()]
    await fixture.clock.advance(0)
    fixture.server.backend(1).terminate()
    expect(fixture.retired).toEqual(['1 lost'])

    first.release()
    second.release()
    expect(fixture.retired).toEqual(['1 lost', '2 invalidated'])
  })
})

describe('a disconnect that concerns one connection', () => {
  test.each([
    { name: 'by idle_session_timeout', reason: serverError('57P05', 'idle-session timeout', 'FATAL') },
    { name: 'by idle_in_transaction_session_timeout', reason: serverError('25P03', 'idle-in-transaction', 'FATAL') },
    { name: 'by transaction_timeout', reason: serverError('25P04', 'transaction timeout', 'FATAL') },
  ])('retires no other connection when one is lost $name', async ({ reason }) => {
    using fixture = new EngineFixture()
    await fixture.fill(3)
    fixture.server.backend(2).terminate(reason)
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['2 lost'])
    expect(fixture.counts.idle).toBe(2)
  })

  test('retires no other connection when the holder has ended the client', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    const call = fixture.acquire()
    void call.leased.client.end()
    await fixture.clock.advance(0)
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('retires no other connection when the client is ended after its release', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    const call = fixture.acquire()
    call.release()
    void call.leased.client.end()
    await fixture.clock.advance(0)
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('retires no other connection when the holder discards one', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    fixture.acquire().release(new Error('odd'))
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['2 discarded'])
  })

  test("retires no other connection when one is lost with invalidateOnDisconnect 'one'", async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'one' })
    await fixture.fill(3)
    fixture.server.backend(2).terminate()
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['2 lost'])
  })

  test('retires no other connection when one is lost that was opened before the last invalidation', async () => {
    using fixture = new EngineFixture()
    const [old, other] = [fixture.acquire(), fixture.acquire()]
    await fixture.clock.advance(0)
    fixture.server.backend(1).terminate()
    old.release()
    const newer = await fixture.lease()
    newer.release()

    fixture.server.backend(2).terminate()
    await fixture.clock.advance(0)
    other.release()
    expect(fixture.retired).toEqual(['1 lost', '2 lost'])
    expect(fixture.acquire().leased.id).toBe(3)
  })
})

test('a disconnect also retires a new connection whose hooks still run', async () => {
  let finish = () => {}
  const onConnect = (): Promise<void> =>
    new Promise((resolve) => {
      finish = resolve
    })
  using fixture = new EngineFixture({ max: 1 }, { onConnect })
  const call = fixture.acquire()
  await fixture.clock.advance(0)
  fixture.engine.invalidate()
  finish()
  await fixture.clock.advance(1)
  expect(fixture.retired).toEqual(['1 invalidated'])
  finish()
  await fixture.clock.advance(1)
  expect(call.leased.id).toBe(2)
})

test('a connection that is ended by a `connect` listener is not leased', async () => {
  using fixture = new EngineFixture({ max: 1, connectRetry: false })
  fixture.publisher.subscribe((event) => {
    if (event.type === 'connection-opened' && event.connection.id === 1) void event.connection.client.end()
  })
  const first = fixture.acquire()
  await fixture.clock.advance(0)
  expect(first.error).toMatchObject({ message: 'The client was ended by its holder' })
  const second = fixture.acquire()
  await fixture.clock.advance(0)
  expect(second.leased.id).toBe(2)
})

test('min is kept ready while the first lease still lasts', async () => {
  using fixture = new EngineFixture({ min: 2 })
  await fixture.lease()
  await fixture.clock.advance(1000)
  expect(fixture.counts).toEqual({ total: 3, idle: 2, waiting: 0 })
})

describe('a plain SQL error', () => {
  test('a plain SQL error leaves the connection in the pool as soon as the server is ready again', async () => {
    using fixture = new EngineFixture()
    const call = await fixture.lease()
    const backend = fixture.server.backend(1)
    backend.failures.set('insert', serverError('23505', 'duplicate key'))
    backend.holdsReadyForQuery = true
    await Promise.all([
      expect(call.leased.client.query('insert')).rejects.toThrow('duplicate key'),
      fixture.clock.advance(0),
    ])

    call.release()
    expect(fixture.acquire().connection).toBeUndefined() // It is not in sync, so it can't be leased.
    backend.readyForQuery()
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual([])
    expect(fixture.server.received).toEqual(['insert'])
  })
})

describe('a leased connection that dies', () => {
  test('a leased connection that dies frees its slot without being released', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.lease()
    const waiter = fixture.acquire()
    fixture.server.backend(1).disappear()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
  })

  test('a leased connection leaves the pool when FATAL arrives, before the socket closes', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    fixture.server.closesSockets = false
    fixture.server.backend(1).send(adminShutdown())
    call.release()
    const next = fixture.acquire()
    await fixture.clock.advance(0)
    expect(next.leased.id).toBe(2)
  })

  test('a leased connection that has died can still be released, without effect', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    fixture.server.backend(1).terminate()
    await fixture.clock.advance(0)
    call.release()
    call.release()
    expect(fixture.counts).toEqual({ total: 0, idle: 0, waiting: 0 })
    expect(fixture.retired).toEqual(['1 lost'])
  })
})

test('a statement that runs into query_timeout makes the other connections suspect, and retires none of them', async () => {
  using fixture = new EngineFixture({ query_timeout: 2000, prePing: { idleMillis: 60_000 } })
  await fixture.fill(2)
  const call = fixture.acquire()
  fixture.server.backend(2).silent = true
  void call.leased.client.query('select pg_sleep(60)').catch(() => {})
  await fixture.clock.advance(2000)
  expect(fixture.retired).toEqual(['2 lost'])

  const next = fixture.acquire()
  expect(next.connection).toBeUndefined()
  await fixture.clock.advance(0)
  expect(next.leased.id).toBe(1)
  expect(fixture.server.backend(1).received).toEqual([PING])
})

describe('on release', () => {
  test.each([
    { policy: 'rollback', before: ['begin'], sent: ['ROLLBACK'], retired: [] },
    { policy: 'rollback', before: ['begin', 'bad'], sent: ['ROLLBACK'], retired: [] },
    { policy: 'rollback', before: ['select 1'], sent: [], retired: [] },
    { policy: 'commit', before: ['begin'], sent: ['COMMIT'], retired: [] },
    { policy: 'commit', before: ['begin', 'bad'], sent: ['ROLLBACK'], retired: [] },
    { policy: 'commit', before: ['select 1'], sent: [], retired: [] },
    { policy: 'none', before: ['begin'], sent: ['Terminate'], retired: ['1 reset-failed'] },
    { policy: 'none', before: ['begin', 'bad'], sent: ['Terminate'], retired: ['1 reset-failed'] },
    { policy: 'none', before: ['select 1'], sent: [], retired: [] },
  ] as const)("a release by '$policy' sends $sent after $before", async ({ policy, before, sent, retired }) => {
    using fixture = new EngineFixture({ resetOnReturn: policy })
    const call = await fixture.lease()
    const backend = fixture.server.backend(1)
    backend.failures.set('bad', serverError('42601', 'syntax error'))
    for (const sql of before) {
      void call.leased.client.query(sql).catch(() => {})
      await fixture.clock.advance(0)
    }
    call.release()
    await fixture.clock.advance(0)

    expect(backend.received.slice(before.length)).toEqual(sent)
    expect(fixture.retired).toEqual(retired)
    expect(fixture.counts.idle).toBe(retired.length === 0 ? 1 : 0)
  })

  test('leases a released connection only after its reset is done', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    const backend = fixture.server.backend(1)
    void call.leased.client.query('begin')
    await fixture.clock.advance(0)
    backend.silent = true
    call.release()
    const waiter = fixture.acquire()
    await fixture.clock.advance(100)
    expect(waiter.connection).toBeUndefined()

    backend.answer()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(1)
    expect(waiter.leased.transactionStatus).toBe('I')
  })

  test('retires a connection whose reset gets no answer for five seconds', async () => {
    using fixture = new EngineFixture({ max: 1, closeTimeoutMillis: 0 })
    const call = await fixture.lease()
    void call.leased.client.query('begin')
    await fixture.clock.advance(0)
    fixture.server.backend(1).silent = true
    call.release()
    const waiter = fixture.acquire()

    await fixture.clock.advance(4999)
    expect(waiter.connection).toBeUndefined()
    await fixture.clock.advance(1)
    expect(waiter.leased.id).toBe(2)
    expect(fixture.server.backend(1).isOpen).toBe(false)
  })

  test('retires a connection whose reset fails', async () => {
    using fixture = new EngineFixture()
    const call = await fixture.lease()
    void call.leased.client.query('begin')
    await fixture.clock.advance(0)
    fixture.server.backend(1).failures.set('ROLLBACK', serverError('XX000', 'internal error'))
    call.release()
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['1 reset-failed'])
  })

  test('a release waits for a statement that still runs, then rolls its transaction back', async () => {
    using fixture = new EngineFixture()
    const call = await fixture.lease()
    const backend = fixture.server.backend(1)
    backend.silent = true
    void call.leased.client.query('begin')
    call.release()
    await fixture.clock.advance(100)
    expect(backend.received).toEqual(['begin'])

    backend.silent = false
    backend.answer()
    await fixture.clock.advance(0)
    expect(backend.received).toEqual(['begin', 'ROLLBACK'])
    expect(fixture.counts.idle).toBe(1)
  })

  test('retires a connection whose statement runs for five more seconds after its lease', async () => {
    using fixture = new EngineFixture()
    const call = await fixture.lease()
    fixture.server.backend(1).silent = true
    void call.leased.client.query('select pg_sleep(60)').catch(() => {})
    call.release()
    await fixture.clock.advance(5000)
    expect(fixture.retired).toEqual(['1 reset-failed'])
    expect(fixture.server.backend(1).isOpen).toBe(false)
  })

  test('frees the slot of a connection that dies during its reset', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    void call.leased.client.query('begin')
    await fixture.clock.advance(0)
    call.release()
    const waiter = fixture.acquire()
    fixture.server.backend(1).terminate()
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['1 lost'])
    expect(waiter.leased.id).toBe(2)
  })

  test.each([
    { policy: 'commit', sent: ['begin', 'COMMIT', 'Terminate'] },
    { policy: 'rollback', sent: ['begin', 'Terminate'] }, // Terminate rolls back as well.
  ] as const)("a release by '$policy' also resets a connection that will be retired", async ({ policy, sent }) => {
    using fixture = new EngineFixture({ resetOnReturn: policy, maxUses: 1 })
    const call = await fixture.lease()
    void call.leased.client.query('begin')
    await fixture.clock.advance(0)
    call.release()
    await fixture.clock.advance(0)
    expect(fixture.server.received).toEqual(sent)
    expect(fixture.retired).toEqual(['1 max-uses'])
  })
})

describe('retirement on release', () => {
  test('retires a connection on release after maxUses leases', async () => {
    using fixture = new EngineFixture({ maxUses: 2 })
    const first = await fixture.lease()
    first.release()
    expect(fixture.retired).toEqual([])
    fixture.acquire().release()
    expect(fixture.retired).toEqual(['1 max-uses'])
  })

  test('retires a connection on release that is older than maxLifetimeSeconds', async () => {
    using fixture = new EngineFixture({ maxLifetimeSeconds: 10 })
    const call = await fixture.lease()
    await fixture.clock.advance(10_000)
    expect(fixture.engine.inventory.expiredCount(fixture.clock.now())).toBe(1)
    call.release()
    expect(fixture.retired).toEqual(['1 expired'])
  })

  test('opens a new connection for a waiter when the released one is retired', async () => {
    using fixture = new EngineFixture({ max: 1, maxUses: 1 })
    const call = await fixture.lease()
    const waiter = fixture.acquire()
    call.release()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(2)
  })
})

describe('connectionTimeoutMillis', () => {
  test('a timeout in an exhausted pool reports the numbers, and no failure of the server', async () => {
    using fixture = new EngineFixture({ max: 2, connectionTimeoutMillis: 3000 })
    await fixture.lease()
    await fixture.clock.advance(1000)
    await fixture.lease()
    const call = fixture.acquire()
    fixture.acquire()
    await fixture.clock.advance(3000)

    expect(call.error).toMatchObject({
      name: 'PoolTimeoutError',
      code: 'HOLDFAST_POOL_TIMEOUT',
      details: {
        waitedMillis: 3000,
        max: 2,
        leased: 2,
        idle: 0,
        opening: 0,
        waiting: 1,
        longestLease: { heldMillis: 4000, backendPid: 1001 },
      },
    })
    expect(call.error?.message).toBe(
      'timeout exceeded when trying to connect (waited 3000 ms: 2 of 2 in use, 0 idle, 0 connecting, 1 waiting; held longest: 4000 ms by backend 1001)',
    )
    expect(call.error).not.toHaveProperty('cause')
  })

  test('a timeout in an exhausted pool does not report a failure of a server that is back', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    fixture.server.nextWelcomes.push(systemError('ECONNREFUSED'))
    const holder = fixture.acquire()
    await fixture.clock.advance(50)
    expect(holder.connection).toBeDefined()
    const call = fixture.acquire()
    await fixture.clock.advance(3000)
    expect(call.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')
    expect(call.error).not.toHaveProperty('cause')
  })

  test('a timeout while the server is away has the last connect failure as its cause', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 3000 })
    fixture.server.welcome = systemError('ECONNREFUSED')
    const call = fixture.acquire()
    await fixture.clock.advance(3000)
    expect(call.error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT', cause: { code: 'ECONNREFUSED' } })
    expect(call.error?.message).toContain('last connect failure: connect ECONNREFUSED 127.0.0.1:5432')
    expect(fixture.counts).toEqual({ total: 0, idle: 0, waiting: 0 })
  })

  test('one deadline covers queue, ping and opening together', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    const holder = await fixture.lease()
    const call = fixture.acquire()
    await fixture.clock.advance(1500)
    fixture.server.welcome = 'hang'
    holder.release(true) // A new one is opened, and hangs.
    await fixture.clock.advance(1499)
    expect(call.error).toBeUndefined()
    await fixture.clock.advance(1)
    expect(call.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')
  })

  test('each waiter times out at its own deadline', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 3000 })
    const holder = await fixture.lease()
    const early = fixture.acquire()
    await fixture.clock.advance(1000)
    const late = fixture.acquire()
    await fixture.clock.advance(2000)
    expect(early.error).toBeDefined()
    expect(late.error).toBeUndefined()
    holder.release()
    await fixture.clock.advance(0)
    expect(late.leased.id).toBe(1)
  })

  test('after a blocked event loop, a waiter gets the connection whose reply lies in the socket', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 3000 })
    fixture.server.welcome = 'hang'
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    await fixture.clock.blockEventLoop(4000, () => fixture.server.backend(1).accept())
    expect(call.leased.id).toBe(1)
    await fixture.clock.advance(10_000)
    expect(call.error).toBeUndefined()
  })

  test('a waiter that is served in time leaves no timer', async () => {
    using fixture = new EngineFixture()
    const call = fixture.acquire()
    expect(fixture.clock.timers('process')).toBe(1)
    await fixture.clock.advance(0)
    expect(call.connection).toBeDefined()
    expect(fixture.clock.timers('process')).toBe(0)
  })

  test('with a connectionTimeoutMillis of 0 there is no deadline', async () => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 0 })
    const holder = await fixture.lease()
    const call = fixture.acquire()
    await fixture.clock.advance(3_600_000)
    expect(call.error).toBeUndefined()
    holder.release()
    await fixture.clock.advance(0)
    expect(call.connection).toBeDefined()
  })

  test.each([
    { whom: 'joins the pool', patient: false, counts: { total: 1, idle: 1, waiting: 0 } },
    { whom: 'goes to the next caller', patient: true, counts: { total: 1, idle: 0, waiting: 0 } },
  ])('a deadline does not end an opening that is under way: its connection $whom', async ({ patient, counts }) => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 30_000 })
    const holder = await fixture.lease()
    const impatient = fixture.acquire()
    await fixture.clock.advance(25_000)
    fixture.server.welcome = 'hang'
    holder.release(true)
    const next = patient ? fixture.acquire() : undefined
    await fixture.clock.advance(5001)
    expect(impatient.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')

    fixture.server.backend(2).accept()
    await fixture.clock.advance(0)
    expect(fixture.counts).toEqual(counts)
    expect(next?.leased.id).toBe(patient ? 2 : undefined)
  })
})

describe('end', () => {
  test('end serves waiters as connections are released, and refuses later callers', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    const [first, second] = [fixture.acquire(), fixture.acquire()]
    const closed = fixture.engine.close()
    expect(fixture.acquire().error?.code).toBe('HOLDFAST_POOL_CLOSED')
    for (const each of [call, first, second]) {
      each.release()
      await fixture.clock.advance(0)
    }
    await closed
    expect(fixture.server.backends).toHaveLength(1)
  })

  test('end serves its waiters by a connection that must prove first that it is alive', async () => {
    using fixture = new EngineFixture({ max: 1, prePing: { idleMillis: 0 } })
    const call = await fixture.lease()
    const calls = [fixture.acquire(), fixture.acquire()]
    const closed = fixture.engine.close()
    for (const each of [call, ...calls]) {
      each.release()
      await fixture.clock.advance(0)
    }
    await closed
    expect(fixture.server.backends).toHaveLength(1)
  })

  test('end serves its waiters by another connection when theirs is discarded', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    const calls = [fixture.acquire(), fixture.acquire()]
    const closed = fixture.engine.close()
    call.release(true)
    await fixture.clock.advance(0)
    for (const each of calls) {
      each.release()
      await fixture.clock.advance(0)
    }
    await closed
    expect(fixture.server.backends).toHaveLength(2)
  })

  test('end refuses the waiters that are not served within closeTimeoutMillis', async () => {
    using fixture = new EngineFixture({ max: 1, closeTimeoutMillis: 2000 })
    await fixture.lease()
    const waiter = fixture.acquire()
    void fixture.engine.close()
    await fixture.clock.advance(1999)
    expect(waiter.error).toBeUndefined()
    await fixture.clock.advance(1)
    expect(waiter.error?.code).toBe('HOLDFAST_POOL_CLOSED')
  })

  test('end sends Terminate over idle connections and resolves when their sockets are closed', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    expect(fixture.server.received).toEqual(['Terminate', 'Terminate'])
    expect(closed).not.toHaveBeenCalled()
    await fixture.clock.advance(0)
    expect(closed).toHaveBeenCalledOnce()
    expect(fixture.counts.total).toBe(0)
  })

  test('end waits for leased connections, and closes them when they are released', async () => {
    using fixture = new EngineFixture()
    const call = await fixture.lease()
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(4000)
    expect(closed).not.toHaveBeenCalled()
    expect(call.leased.isLost).toBe(false)

    call.release()
    await fixture.clock.advance(0)
    expect(closed).toHaveBeenCalledOnce()
    expect(fixture.retired).toEqual(['1 pool-closed'])
  })

  test('end destroys leased connections after closeTimeoutMillis', async () => {
    using fixture = new EngineFixture({ closeTimeoutMillis: 2000 })
    const call = await fixture.lease()
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(2000)
    expect(closed).toHaveBeenCalledOnce()
    expect(fixture.server.backend(1).isOpen).toBe(false)
    await Promise.all([
      expect(call.leased.client.query('select 1')).rejects.toMatchObject({ name: 'ConnectionLostError' }),
      fixture.clock.advance(0),
    ])
  })

  test('end destroys connections whose server ignores Terminate after closeTimeoutMillis', async () => {
    using fixture = new EngineFixture({ closeTimeoutMillis: 2000 })
    await fixture.fill(2)
    fixture.server.hearsGoodbyes = false
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(1999)
    expect(closed).not.toHaveBeenCalled()
    await fixture.clock.advance(1)
    expect(closed).toHaveBeenCalledOnce()
    expect(fixture.server.backends.every(({ isOpen }) => !isOpen)).toBe(true)
  })

  test('end counts closeTimeoutMillis from its call, also for connections that are released late', async () => {
    using fixture = new EngineFixture({ closeTimeoutMillis: 2000 })
    const call = await fixture.lease()
    fixture.server.hearsGoodbyes = false
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(1500)
    call.release()
    await fixture.clock.advance(500)
    expect(closed).toHaveBeenCalledOnce()
  })

  test('end resolves also when no socket reports that it is closed', async () => {
    using fixture = new EngineFixture({ closeTimeoutMillis: 2000 })
    await fixture.fill(1)
    fixture.acquire()
    fixture.server.closesSockets = false
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(4000)
    expect(closed).toHaveBeenCalledOnce()
  })

  test('end serves all waiters by the one connection that is on its way', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const calls = [fixture.acquire(), fixture.acquire()]
    const closed = fixture.engine.close()
    await fixture.clock.advance(0)
    for (const call of calls) {
      call.release()
      await fixture.clock.advance(0)
    }
    await closed
    expect(fixture.server.backends).toHaveLength(1)
  })

  test('end stops a hanging attempt to connect after closeTimeoutMillis, and tells its waiter', async () => {
    using fixture = new EngineFixture()
    fixture.server.welcome = 'hang'
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(4999)
    expect(closed).not.toHaveBeenCalled()
    await fixture.clock.advance(1)
    expect(closed).toHaveBeenCalledOnce()
    expect(call.error).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
    expect(fixture.server.backend(1).isOpen).toBe(false)
    await fixture.clock.advance(60_000)
    expect(fixture.server.backends).toHaveLength(1)
  })

  test('end refuses a waiter at once when the attempt to connect for it fails', async () => {
    using fixture = new EngineFixture()
    fixture.server.nextWelcomes.push(systemError('ECONNREFUSED'))
    const call = fixture.acquire()
    const closed = fixture.engine.close()
    await fixture.clock.advance(0)
    expect(call.error).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
    await closed
    expect(fixture.server.backends).toHaveLength(1)
  })

  test('end stops an attempt to connect at once when no waiter needs it any more', async () => {
    using fixture = new EngineFixture()
    fixture.server.welcome = 'hang'
    const controller = new AbortController()
    fixture.acquire({ signal: controller.signal })
    await fixture.clock.advance(0)
    controller.abort()
    const closed = vi.fn()
    void fixture.engine.close().then(closed)
    await fixture.clock.advance(0)
    expect(closed).toHaveBeenCalledOnce()
  })

  test('end leaves no timer', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(2)
    await fixture.clock.advance(5000)
    const ended = fixture.engine.close()
    await fixture.clock.advance(0)
    await ended
    expect(fixture.clock.timers('process')).toBe(0)
    expect(fixture.clock.timers('nothing')).toBe(0)
  })

  test('end resolves at once if the pool never connected', async () => {
    using fixture = new EngineFixture()
    await expect(fixture.engine.close()).resolves.toBeUndefined()
  })
})

describe('a process that was suspended', () => {
  test.each([
    { how: 'asleep with its machine', stop: async (fixture: EngineFixture) => fixture.clock.freeze(10_000) },
    { how: 'stopped', stop: (fixture: EngineFixture) => fixture.clock.blockEventLoop(3000) },
  ])('after a suspension ($how), pings every idle connection before its next lease', async ({ stop }) => {
    using fixture = new EngineFixture({ max: 2, prePing: { idleMillis: 60_000 } })
    await fixture.fill(2)
    await fixture.clock.advance(10)
    await stop(fixture)

    const calls = [fixture.acquire(), fixture.acquire()]
    expect(calls.map(({ connection }) => connection)).toEqual([undefined, undefined])
    await fixture.clock.advance(0)
    expect(fixture.server.received).toEqual([PING, PING])

    for (const call of calls) call.release()
    expect(fixture.acquire().connection).toBeDefined() // Proven: no longer suspect.
  })

  test('after a suspension, does not ping a connection on which the server has answered its holder since', async () => {
    using fixture = new EngineFixture({ max: 1, prePing: { idleMillis: 60_000 } })
    const call = await fixture.lease()
    fixture.clock.freeze(10_000)
    await fixture.clock.advance(1)
    const waiter = fixture.acquire()
    void call.leased.client.query('select 1')
    await fixture.clock.advance(0)
    call.release()
    expect(waiter.leased.id).toBe(1)
    expect(fixture.server.received).toEqual(['select 1'])
  })

  test('after a suspension, does not count an answer to what was sent before it', async () => {
    using fixture = new EngineFixture({ max: 1, prePing: { idleMillis: 60_000 } })
    const call = await fixture.lease()
    const backend = fixture.server.backend()
    backend.silent = true
    const statement = call.leased.client.query('select 1')
    fixture.clock.freeze(10_000)
    await fixture.clock.advance(1)
    const waiter = fixture.acquire()
    backend.silent = false
    backend.answer()
    await statement
    call.release()
    expect(waiter.connection).toBeUndefined()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(1)
    expect(fixture.server.received).toEqual(['select 1', PING])
  })

  test('a process that had nothing to do does not count as suspended', async () => {
    using fixture = new EngineFixture({ idleTimeoutMillis: 0, prePing: { idleMillis: 600_000 } })
    await fixture.fill(1)
    await fixture.clock.advance(300_000)
    expect(fixture.acquire().connection).toBeDefined()
  })

  test('after a suspension, pings a connection that was leased meanwhile and got no answer since', async () => {
    using fixture = new EngineFixture({ max: 1, prePing: { idleMillis: 60_000 } })
    const call = await fixture.lease()
    fixture.clock.freeze(10_000)
    await fixture.clock.advance(1)
    const waiter = fixture.acquire()
    call.release()
    expect(waiter.connection).toBeUndefined()
    await fixture.clock.advance(0)
    expect(waiter.leased.id).toBe(1)
    expect(fixture.server.received).toEqual([PING])
  })
})

describe('invalidate', () => {
  test('invalidate closes idle connections now, leased ones when they are released, and keeps later ones', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(2)
    const call = fixture.acquire()
    fixture.engine.invalidate()
    expect(fixture.retired).toEqual(['1 invalidated'])
    const newer = await fixture.lease()
    call.release()
    newer.release()
    expect(fixture.retired).toEqual(['1 invalidated', '2 invalidated'])
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('invalidate retires a connection that is being pinged, and its waiter keeps its place', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.fill(1)
    await fixture.clock.advance(500)
    const call = fixture.acquire()
    fixture.engine.invalidate()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(2)
  })

  test('invalidate does not make a waiter wait for a ping that no longer matters', async () => {
    using fixture = new EngineFixture({ max: 1 })
    await fixture.fill(1)
    await fixture.clock.advance(500)
    fixture.server.backend(1).silent = true
    const call = fixture.acquire()
    await fixture.clock.advance(100)
    fixture.engine.invalidate()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(2)
  })

  test('invalidate retires a connection that is being reset', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    void call.leased.client.query('begin')
    await fixture.clock.advance(0)
    call.release()
    fixture.engine.invalidate()
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['1 invalidated'])
  })
})
