import { describe, expect, test } from 'vitest'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'
import { EngineFixture, PING } from './engine-fixture.ts'

/** How many pings each backend has received. */
function pings(fixture: EngineFixture): number[] {
  return fixture.server.backends.map(({ received }) => received.filter((sql) => sql === PING).length)
}

describe('a single loss', () => {
  test('a single loss makes the others suspects when it is seen on an idle connection: each is pinged before its next lease', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(3)
    fixture.server.backend(2).terminate()
    expect(fixture.retired).toEqual(['2 lost'])
    expect(fixture.eventsOf('pool-invalidated')).toEqual([])

    const first = await fixture.lease()
    const second = await fixture.lease()
    const third = await fixture.lease()
    // The second is new, in place of the lost one.
    expect([first, second, third].map(({ leased }) => leased.id)).toEqual([3, 4, 1])
    expect(pings(fixture)).toEqual([1, 0, 1, 0])
    for (const call of [first, second, third]) call.release()
    expect(fixture.acquire().leased.id).toBe(1) // It has answered: no suspect any more.
  })

  test('a single loss makes the others suspects when it is seen by a statement', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(3)
    const query = fixture
      .acquire()
      .leased.client.query('select 1')
      .catch((error: unknown) => error)
    fixture.server.backend(3).fail(systemError('ECONNRESET'))
    await fixture.clock.advance(0)
    expect(await query).toMatchObject({ name: 'ConnectionLostError', code: 'ECONNRESET', sent: true })
    expect(fixture.retired).toEqual(['3 lost'])
    const next = fixture.acquire()
    expect(next.connection).toBeUndefined()
    await fixture.clock.advance(0)
    expect(next.leased.id).toBe(2)
    expect(pings(fixture)[1]).toBe(1)
  })

  test('a single loss makes a leased connection a suspect until it answers a statement that was sent later', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(3)
    const [quiet, busy] = [fixture.acquire(), fixture.acquire()]
    fixture.server.backend(1).terminate()
    const query = busy.leased.client.query('select 1')
    await fixture.clock.advance(0)
    await query
    quiet.release()
    busy.release()
    expect(fixture.acquire().leased.id).toBe(2)
    const pinged = fixture.acquire()
    expect(pinged.connection).toBeUndefined()
    await fixture.clock.advance(0)
    expect(pings(fixture).slice(1)).toEqual([0, 1, 0])
  })

  test('a suspect that has answered since the loss is not pinged when another one shows that the server lives', async () => {
    using fixture = new EngineFixture({ max: 4, prePing: { idleMillis: 60_000 } })
    await fixture.fill(4)
    const [victim, early, late] = [fixture.acquire(), fixture.acquire(), fixture.acquire()]
    for (const { leased } of [early, late]) {
      fixture.server.backend(leased.id).silent = true
      void leased.client.query('select 1')
    }
    await fixture.clock.advance(10)
    fixture.server.backend(victim.leased.id).terminate()
    await fixture.clock.advance(10)
    // The answers to statements that were sent before the loss.
    for (const { leased } of [early, late]) {
      fixture.server.backend(leased.id).silent = false
      fixture.server.backend(leased.id).answer()
    }
    await fixture.clock.advance(0)
    early.release()
    const first = fixture.acquire()
    expect(first.connection).toBeUndefined() // Nothing shows that the server lives: the answer may be older than the loss.
    await fixture.clock.advance(0)
    expect(first.leased.id).toBe(early.leased.id)
    late.release()
    expect(fixture.acquire().leased.id).toBe(late.leased.id)
    // The fourth has said nothing since.
    const counts = pings(fixture)
    expect([early, late].map(({ leased }) => counts[leased.id - 1])).toEqual([1, 0])
    fixture.acquireMany(2) // One gets the connection that was opened in place of the lost one.
    expect(pings(fixture)[0]).toBe(1)
  })

  test('a single loss has as many suspects pinged at once as callers wait', async () => {
    using fixture = new EngineFixture({ max: 10 })
    await fixture.fill(10)
    fixture.server.backend(10).terminate()
    for (const backend of fixture.server.backends) backend.silent = true
    fixture.acquireMany(9)
    expect(pings(fixture).filter((count) => count === 1)).toHaveLength(9)
  })

  test('a single loss is made up for while the first suspect is asked, which may never answer', async () => {
    using fixture = new EngineFixture({ max: 5 })
    await fixture.fill(3)
    fixture.server.backend(3).terminate()
    fixture.server.backend(2).silent = true
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(4)
    expect(fixture.server.backends).toHaveLength(4)
    fixture.acquire()
    await fixture.clock.advance(0)
    expect(fixture.server.backends).toHaveLength(4) // Once for each loss.
  })

  test('a single loss is made up for no more when a suspect has answered', async () => {
    using fixture = new EngineFixture({ max: 5, min: 0, keepaliveMillis: 100 })
    await fixture.fill(3)
    fixture.server.backend(3).terminate()
    await fixture.clock.advance(1000) // The keepalive pings.
    await fixture.clock.advance(600)
    fixture.acquire()
    await fixture.clock.advance(0)
    expect(fixture.server.backends).toHaveLength(3)
  })

  test('a single loss of the only connection leaves none that could be a suspect, and is an outage', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(1)
    fixture.server.backend(1).terminate()
    expect(fixture.eventsOf('pool-invalidated')).toHaveLength(1)
    await fixture.lease()
    expect(fixture.eventsOf('recovered')).toHaveLength(1)
  })

  test('a single loss retires the others where no ping is allowed', async () => {
    using fixture = new EngineFixture({ prePing: false })
    await fixture.fill(3)
    fixture.server.backend(2).terminate()
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 lost', '3 invalidated'])
  })

  test("a single loss leaves the others as they are with invalidateOnDisconnect 'one'", async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'one' })
    await fixture.fill(3)
    fixture.server.backend(2).terminate()
    expect(fixture.acquire().leased.id).toBe(3)
    expect(fixture.retired).toEqual(['2 lost'])
  })

  test("a single loss retires the others with invalidateOnDisconnect 'all'", async () => {
    using fixture = new EngineFixture({ invalidateOnDisconnect: 'all' })
    await fixture.fill(3)
    fixture.server.backend(2).terminate()
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 lost', '3 invalidated'])
  })
})

describe('a second sign', () => {
  test('the loss of a suspect retires the others', async () => {
    using fixture = new EngineFixture()
    await fixture.fill(4)
    fixture.server.backend(2).terminate()
    fixture.server.backend(4).fail(systemError('ECONNRESET'))
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 lost', '3 invalidated', '4 lost'])
  })

  test('the loss of a suspect makes suspects again if another one has answered since', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(3)
    fixture.server.backend(3).terminate()
    const answered = await fixture.lease()
    expect(answered.leased.id).toBe(2)
    answered.release()
    fixture.server.backend(1).terminate()
    expect(fixture.retired).toEqual(['3 lost', '1 lost'])
    const again = fixture.acquire()
    expect(again.connection).toBeUndefined()
  })

  test("a suspect's failed ping retires the others, and not what was opened since", async () => {
    using fixture = new EngineFixture({ max: 4, prePing: { timeoutMillis: 300 } })
    await fixture.fill(3)
    for (const backend of fixture.server.backends) backend.silent = true
    fixture.server.backend(3).terminate()
    const call = await fixture.lease()
    expect(call.leased.id).toBe(4)
    await fixture.clock.advance(300)
    expect(fixture.retired).toEqual(['3 lost', '2 lost', '1 invalidated'])
    call.release()
    expect(fixture.acquire().leased.id).toBe(4)
  })

  test('a refused connect retires the suspects if none has answered since the loss', async () => {
    using fixture = new EngineFixture({ max: 4 })
    await fixture.fill(3)
    for (const backend of fixture.server.backends) backend.silent = true
    fixture.server.welcome = systemError('ECONNREFUSED')
    fixture.server.backend(3).terminate()
    fixture.acquire()
    await fixture.clock.advance(0)
    expect(fixture.retired).toEqual(['3 lost', '1 invalidated', '2 invalidated'])
  })

  test('a connect that is refused without a loss retires nothing', async () => {
    using fixture = new EngineFixture({ max: 3 })
    await fixture.fill(1)
    fixture.acquire()
    fixture.server.welcome = systemError('ECONNREFUSED')
    fixture.acquire()
    await fixture.clock.advance(1000)
    expect(fixture.retired).toEqual([])
  })

  test.each([
    { by: 'a crash', cause: serverError('57P02', 'crash of another server process', 'WARNING') },
    { by: 'a dropped database', cause: serverError('57P04', 'database was dropped', 'FATAL') },
  ])('what tells of all sessions needs none: $by', async ({ cause }) => {
    using fixture = new EngineFixture()
    await fixture.fill(3)
    fixture.server.backend(2).terminate(cause)
    expect(fixture.retired.toSorted()).toEqual(['1 invalidated', '2 lost', '3 invalidated'])
  })

  test('the victims of one restart are not held against what was opened after it', async () => {
    using fixture = new EngineFixture({ max: 4 })
    await fixture.fill(4)
    const [first, second] = [fixture.acquire(), fixture.acquire()]
    fixture.server.backend(1).terminate()
    fixture.server.backend(2).terminate()
    const newer = await fixture.lease()
    newer.release()
    for (const victim of [3, 4]) fixture.server.backend(victim).terminate(adminShutdown())
    first.release()
    second.release()
    expect(fixture.acquire().leased.id).toBe(newer.leased.id)
  })
})
