import { describe, expect, test } from 'vitest'
import {
  ConnectError,
  OptionsError,
  PingTimeoutError,
  PoolClosedError,
  PoolTimeoutError,
} from '../../packages/core/src/errors.ts'
import { ping, ready } from '../../packages/core/src/pool-health.ts'
import { serverError, systemError } from '../support/fake-client.ts'
import { EngineFixture } from './engine/engine-fixture.ts'

/** What a promise has come to so far. */
function outcomeOf(promise: Promise<void>): { error?: unknown; isDone: boolean } {
  const outcome: { error?: unknown; isDone: boolean } = { isDone: false }
  promise.then(
    () => Object.assign(outcome, { isDone: true }),
    (error) => Object.assign(outcome, { isDone: true, error }),
  )
  return outcome
}

describe('ping()', () => {
  test('resolves when the server has answered, and keeps no connection', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const outcome = outcomeOf(ping(fixture.engine, undefined))
    await fixture.clock.advance(10)
    expect(outcome).toEqual({ isDone: true })
    expect(fixture.server.received).toContain('select 1')
    expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('rejects at its deadline when the server says nothing, and leaves no waiter', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = 'hang'
    const outcome = outcomeOf(ping(fixture.engine, { timeoutMillis: 700 }))
    await fixture.clock.advance(600)
    expect(outcome.isDone).toBe(false)
    await fixture.clock.advance(200)
    expect(outcome.error).toBeInstanceOf(PingTimeoutError)
    expect(outcome.error).toMatchObject({ code: 'HOLDFAST_PING_TIMEOUT', timeoutMillis: 700 })
    expect(fixture.counts.waiting).toBe(0)
  })

  test('tells the last failure to connect', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = systemError('ECONNREFUSED')
    const outcome = outcomeOf(ping(fixture.engine, { timeoutMillis: 700 }))
    await fixture.clock.advance(800)
    expect(outcome.error).toBeInstanceOf(PingTimeoutError)
    expect((outcome.error as Error).message).toContain('ECONNREFUSED')
    expect((outcome.error as Error).cause).toBeInstanceOf(ConnectError)
  })

  test('gives up a statement that gets no answer', async () => {
    using fixture = new EngineFixture({ max: 1, prePing: false })
    await fixture.fill(1)
    fixture.server.backend(1).silent = true
    const outcome = outcomeOf(ping(fixture.engine, { timeoutMillis: 500 }))
    await fixture.clock.advance(600)
    expect(outcome.error).toBeInstanceOf(PingTimeoutError)
  })

  test('resolves at its deadline if the server has answered others, and the pool is only busy', async () => {
    using fixture = new EngineFixture({ max: 1, prePing: false })
    const held = await fixture.lease()
    const outcome = outcomeOf(ping(fixture.engine, { timeoutMillis: 500 }))
    await fixture.clock.advance(100)
    held.leased.client.query('select 2', () => {})
    await fixture.clock.advance(500)
    expect(outcome).toEqual({ isDone: true })
    expect(fixture.counts.waiting).toBe(0)
  })

  test.each([[{ timeoutMillis: 0 }], [{ timeoutMillis: Number.NaN }], [{ timeoutMillis: '1' }], [{ timeout: 1 }], [7]])(
    'refuses %j',
    async (options) => {
      using fixture = new EngineFixture()
      await expect(ping(fixture.engine, options as object)).rejects.toBeInstanceOf(OptionsError)
    },
  )
})

describe('ready()', () => {
  test('resolves when a server that was away, or refused for good, is there', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = serverError('3D000', 'database "app" does not exist', 'FATAL')
    const outcome = outcomeOf(ready(fixture.engine, undefined))
    await fixture.clock.advance(5000)
    fixture.server.welcome = systemError('ECONNREFUSED')
    await fixture.clock.advance(5000)
    expect(outcome.isDone).toBe(false)
    fixture.server.welcome = 'accept'
    await fixture.clock.advance(5000)
    expect(outcome).toEqual({ isDone: true })
    expect(fixture.counts).toMatchObject({ idle: 1, waiting: 0 })
  })

  test('rejects at its deadline with what keeps it from connecting', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = serverError('28P01', 'password authentication failed', 'FATAL')
    const refused = outcomeOf(ready(fixture.engine, { timeoutMillis: 3000 }))
    await fixture.clock.advance(3100)
    expect(refused.error).toMatchObject({ name: 'ConnectError', code: '28P01' })
    fixture.server.welcome = systemError('ECONNREFUSED')
    const away = outcomeOf(ready(fixture.engine, { timeoutMillis: 3000 }))
    await fixture.clock.advance(3100)
    expect(away.error).toBeInstanceOf(PoolTimeoutError)
    expect(fixture.counts.waiting).toBe(0)
  })

  test('rejects at once when the pool is closed', async () => {
    using fixture = new EngineFixture()
    void fixture.engine.close()
    await expect(ready(fixture.engine, undefined)).rejects.toBeInstanceOf(PoolClosedError)
  })
})
