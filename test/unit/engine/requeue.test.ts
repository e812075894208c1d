import { describe, expect, test } from 'vitest'
import type { Waiter } from '../../../packages/core/src/engine/waiter-list.ts'
import { serverError } from '../../support/fake-client.ts'
import { EngineFixture } from './engine-fixture.ts'

/** One whose statement never ran, and that asks again. */
class Again implements Waiter {
  outcome: 'leased' | Error | undefined
  readonly options: { connectionTimeoutMillis?: number; signal?: AbortSignal } | undefined

  constructor(options?: { connectionTimeoutMillis?: number; signal?: AbortSignal }) {
    this.options = options
  }

  leased(): void {
    this.outcome = 'leased'
  }

  failed(error: Error): void {
    this.outcome = error
  }
}

describe('a waiter whose statement never ran', () => {
  test('a waiter whose statement never ran is served before all that came later', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const holder = await fixture.lease()
    await fixture.clock.advance(100)
    const later = fixture.acquire()
    const again = new Again()
    expect(fixture.engine.reacquire(again, 50)).toBeUndefined()
    holder.release()
    expect(again.outcome).toBe('leased')
    expect(later.connection).toBeUndefined()
  })

  test('a waiter whose statement never ran is served after those that asked before it', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const holder = await fixture.lease()
    const earlier = fixture.acquire()
    await fixture.clock.advance(100)
    const again = new Again()
    fixture.engine.reacquire(again, 50)
    holder.release()
    expect(earlier.connection).toBeDefined()
    expect(again.outcome).toBeUndefined()
  })

  test.each([
    { whose: "the pool's", options: undefined },
    { whose: 'its own', options: { connectionTimeoutMillis: 1000 } },
  ])('a waiter whose statement never ran has what is left of $whose deadline, and no more', async ({ options }) => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 1000 })
    await fixture.lease()
    await fixture.clock.advance(700)
    const later = fixture.acquire()
    const again = new Again(options)
    fixture.engine.reacquire(again, 100)
    await fixture.clock.advance(399)
    expect(again.outcome).toBeUndefined()
    await fixture.clock.advance(1)
    expect(again.outcome).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
    expect(later.error).toBeUndefined()
    await fixture.clock.advance(600)
    expect(later.error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
  })

  test.each([
    { when: 'its deadline has passed', options: undefined, askedAt: 0, whyNot: 'its caller has no time left' },
    {
      when: 'it has given up',
      options: { signal: AbortSignal.abort() },
      askedAt: 900,
      whyNot: 'its caller has given up',
    },
  ])('a waiter whose statement never ran is refused when $when', async ({ options, askedAt, whyNot }) => {
    using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 1000 })
    await fixture.lease()
    await fixture.clock.advance(1000)
    expect(fixture.engine.reacquire(new Again(options), askedAt)).toBe(whyNot)
    expect(fixture.counts.waiting).toBe(0)
  })

  test('a waiter whose statement never ran is refused when the pool is closed', async () => {
    using fixture = new EngineFixture({ max: 1 })
    void fixture.engine.close()
    expect(fixture.engine.reacquire(new Again(), 0)).toBe('the pool is closed')
  })
})

describe('after a pooler has said that its server is away,', () => {
  const away = serverError('08P01', 'server login has been failing, try again later (server_login_retry)', 'FATAL')

  test("after a pooler's server went away, each open connection must answer a ping before its lease, until one has answered", async () => {
    using fixture = new EngineFixture({ max: 2, prePing: false })
    const [first, second] = [await fixture.lease(), await fixture.lease()]
    fixture.server.backend(1).terminate(away)
    second.release()
    const waiter = fixture.acquire()
    await fixture.clock.advance(0)
    expect(fixture.server.backend(2).received).toEqual([';'])
    expect(waiter.leased.id).toBe(2)
    waiter.release()
    expect(fixture.acquire().leased.id).toBe(2)
    expect(fixture.server.backend(2).received).toEqual([';'])
    first.release()
  })

  test('after a pooler has said what only poolers say, each new connection must answer a ping', async () => {
    using fixture = new EngineFixture({ max: 2, prePing: false })
    const first = await fixture.lease()
    fixture.server.backend(1).terminate(away)
    first.release()
    for (const id of [2, 3]) {
      await fixture.lease()
      expect(fixture.server.backend(id).received).toEqual([';'])
    }
  })

  test("after a pooler's server went away, a new connection is pinged too, and only one is opened while there is no answer", async () => {
    using fixture = new EngineFixture({ max: 4, prePing: false })
    const holder = await fixture.lease()
    fixture.server.backend(1).terminate(away)
    holder.release()
    fixture.server.silent = true
    const calls = fixture.acquireMany(4)
    await fixture.clock.advance(100)
    expect(fixture.server.backends).toHaveLength(2)
    expect(fixture.server.backend(2).received).toEqual([';'])
    fixture.server.silent = false
    fixture.server.backend(2).silent = false
    fixture.server.backend(2).answer()
    await fixture.clock.advance(0)
    expect(calls.filter(({ connection }) => connection)).not.toEqual([])
  })
})
