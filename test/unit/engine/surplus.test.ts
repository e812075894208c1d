import { describe, expect, test } from 'vitest'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { EngineFixture } from './engine-fixture.ts'

/** A pool with idle connections on a server that is full, or not, and how often it has asked. */
async function idlePool(
  options: PoolOptions,
  isFull: () => boolean,
): Promise<{ fixture: EngineFixture; looks: () => number }> {
  let looks = 0
  const isNearlyFull = async (): Promise<boolean> => {
    looks++
    return isFull()
  }
  const capacity = { check: async () => {}, isNearlyFull }
  const fixture = new EngineFixture(
    { max: 10, prePing: false, idleTimeoutMillis: 0, ...options },
    {},
    undefined,
    capacity,
  )
  await fixture.fill(4)
  return { fixture, looks: () => looks }
}

describe('idle connections that are not needed', () => {
  test('are closed soon when the server is near its limit, down to min', async () => {
    const { fixture } = await idlePool({ min: 1 }, () => true)
    using _ = fixture
    await fixture.clock.advance(900)
    expect(fixture.counts.idle).toBe(4)
    await fixture.clock.advance(2000)
    expect(fixture.counts.idle).toBe(1)
    const reasons = fixture.events.flatMap((event) => (event.type === 'connection-retired' ? [event.reason] : []))
    expect(reasons).toEqual(['server-full', 'server-full', 'server-full'])
  })

  test('stay where there is room, and the server is asked a few times only', async () => {
    const { fixture, looks } = await idlePool({}, () => false)
    using _ = fixture
    await fixture.clock.advance(60_000)
    expect(fixture.counts.idle).toBe(4)
    expect(looks()).toBe(4)
  })

  test('stay while they are used once a second: the server is not asked at all', async () => {
    const { fixture, looks } = await idlePool({}, () => true)
    using _ = fixture
    for (let second = 0; second < 10; second++) {
      const callers = fixture.acquireMany(4)
      await fixture.clock.advance(700)
      for (const caller of callers) caller.release()
    }
    expect(looks()).toBe(0)
    expect(fixture.counts.idle).toBe(4)
  })

  test('are closed without a question while new connections are refused with 53300', async () => {
    const { fixture, looks } = await idlePool({ max: 5 }, () => false)
    using _ = fixture
    const holders = fixture.acquireMany(4)
    fixture.server.welcome = Object.assign(new Error('too many clients'), { code: '53300', severity: 'FATAL' })
    const refused = fixture.acquire()
    await fixture.clock.advance(100)
    for (const holder of holders) holder.release()
    await fixture.clock.advance(0)
    refused.release()
    await fixture.clock.advance(3000)
    expect(looks()).toBe(0)
    expect(fixture.counts.idle).toBe(0)
  })
})
