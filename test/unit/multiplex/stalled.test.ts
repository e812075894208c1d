import { describe, expect, test } from 'vitest'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { serverError, systemError } from '../../support/fake-client.ts'
import type { EngineFixture } from '../engine/engine-fixture.ts'
import { answer, Call, READS, sharedEngine } from './shared-engine.ts'

const AGAIN = ['BEGIN READ ONLY', 'select 2', 'COMMIT']

/** Two connections: the first is shared by `select 1` and those behind it, the second is leased to another caller. */
async function oneStalls(
  texts: readonly string[] = READS.slice(0, 2),
  options: PoolOptions = {},
): Promise<{ fixture: EngineFixture; calls: Call[]; other: ReturnType<EngineFixture['acquire']> }> {
  const fixture = await sharedEngine({ max: 2, maxPipeline: 4, ...options })
  const other = fixture.acquire()
  for (const backend of fixture.server.backends) backend.silent = true
  return { fixture, calls: texts.map((text) => new Call(fixture, text)), other }
}

function backends(fixture: EngineFixture, other: ReturnType<EngineFixture['acquire']>) {
  const { pid } = { pid: other.leased.backendPid }
  const free = fixture.server.backends.find((each) => each.pid === pid)
  const shared = fixture.server.backends.find((each) => each.pid !== pid)
  if (!free || !shared) throw new Error('There are not two sessions')
  return { free, shared }
}

describe('a read behind one that takes more than 50 ms', () => {
  test('runs on another connection as well, in a transaction that only reads, and its caller has that answer', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    other.release()
    free.silent = false
    await fixture.clock.advance(40)
    expect(free.received).toEqual([])
    await fixture.clock.advance(60)
    expect(free.received).toEqual(AGAIN)
    expect(calls.map((call) => call.answer)).toEqual([undefined, 'select 2'])
    await answer(fixture, shared)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'select 2'])
    expect(fixture.counts).toEqual({ total: 2, idle: 2, waiting: 0 })
    expect(fixture.eventsOf('statement-retried')).toMatchObject([{ reason: 'stalled', attempt: 2 }])
  })

  test('has the answer of its first run if that comes first, and the second is not sent', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    await fixture.clock.advance(100)
    expect(fixture.counts.waiting).toBe(1)
    await answer(fixture, shared)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'select 2'])
    other.release()
    await fixture.clock.advance(0)
    expect(free.received).toEqual([])
    expect(fixture.counts).toEqual({ total: 2, idle: 2, waiting: 0 })
  })

  test('has the answer of its first run if the second finds out nothing', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    free.failures.set('select 2', serverError('25006', 'cannot execute nextval() in a read-only transaction'))
    free.silent = false
    other.release()
    await fixture.clock.advance(60)
    expect(free.received.slice(0, 2)).toEqual(AGAIN.slice(0, 2))
    expect(calls[1]?.isTold).toBe(false)
    await answer(fixture, shared)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'select 2'])
  })

  test('is told the SQL error of the run that ends first', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    for (const each of [free, shared]) each.failures.set('select 2', serverError('22012', 'division by zero'))
    free.silent = false
    other.release()
    await fixture.clock.advance(100)
    expect(calls[1]?.answer).toBe('division by zero')
    await answer(fixture, shared)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'division by zero'])
  })

  test('has the answer of its second run if the connection of the first is lost', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    await fixture.clock.advance(100)
    shared.disappear()
    await fixture.clock.advance(0)
    free.silent = false
    other.release()
    await fixture.clock.advance(100)
    expect(calls[1]?.answer).toBe('select 2')
  })

  test('runs again if the connections of both runs are lost', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    other.release()
    await fixture.clock.advance(100)
    expect(free.received).toEqual(AGAIN)
    shared.disappear()
    free.disappear()
    await fixture.clock.advance(100)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'select 2'])
  })

  test('is told the loss of its first run, and why there is no other, if the server is away by then', async () => {
    const { fixture, calls, other } = await oneStalls(READS.slice(0, 2), { connectionTimeoutMillis: 1000 })
    using _ = fixture
    const { shared } = backends(fixture, other)
    await fixture.clock.advance(100)
    fixture.server.welcome = systemError('ECONNREFUSED')
    shared.disappear()
    await fixture.clock.advance(1500)
    expect(calls[1]?.error?.name).toBe('ConnectionLostError')
    expect(calls[1]?.error?.message).toMatch(/; not run again: timeout exceeded when trying to connect/)
  })

  test('does not run elsewhere while the event loop was blocked, if its answer is there', async () => {
    const { fixture, calls, other } = await oneStalls()
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    await fixture.clock.advance(20)
    shared.silent = false
    await answer(fixture, shared)
    await fixture.clock.advance(200)
    expect(calls.map((call) => call.answer)).toEqual(['select 1', 'select 2'])
    expect(free.received).toEqual([])
    expect(fixture.clock.timers('nothing')).toBeLessThanOrEqual(1)
  })
})

describe('when a shared connection is lost', () => {
  test('all reads run again, and each caller has its own answer', async () => {
    const { fixture, calls, other } = await oneStalls(READS.slice(0, 4))
    using _ = fixture
    const { free, shared } = backends(fixture, other)
    free.silent = false
    other.release()
    shared.disappear()
    await fixture.clock.advance(100)
    expect(calls.map((call) => call.answer)).toEqual(READS.slice(0, 4))
  })

  test('a read that has run into its query_timeout behind others is told, and the connection lives', async () => {
    using fixture = await sharedEngine({ maxPipeline: 4 })
    const backend = fixture.server.backend(1)
    backend.silent = true
    const first = new Call(fixture, 'select 1')
    const late = new Call(fixture, 'late', { text: 'select 2', query_timeout: 30 })
    const third = new Call(fixture, 'select 3')
    await fixture.clock.advance(40)
    expect(late.answer).toBe('Query read timeout')
    await answer(fixture)
    expect([first, late, third].map((call) => call.answer)).toEqual(['select 1', 'Query read timeout', 'select 3'])
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('because the read in front has run into its query_timeout, those behind it run again', async () => {
    using fixture = await sharedEngine({ maxPipeline: 4 })
    const backend = fixture.server.backend(1)
    backend.silent = true
    const late = new Call(fixture, 'late', { text: 'select 1', query_timeout: 30 })
    const others = [new Call(fixture, 'select 2'), new Call(fixture, 'select 3')]
    await fixture.clock.advance(3000)
    expect(late.error).toMatchObject({ name: 'ConnectionLostError' })
    expect(others.map((call) => call.answer)).toEqual(['select 2', 'select 3'])
  })
})
