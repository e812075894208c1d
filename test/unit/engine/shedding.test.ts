import { describe, expect, test } from 'vitest'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { systemError } from '../../support/fake-client.ts'
import { type Acquisition, EngineFixture } from './engine-fixture.ts'

const TARGET = 50
const INTERVAL = 1000

/** A pool of one connection, which somebody holds. */
async function held(options: PoolOptions = {}): Promise<{ fixture: EngineFixture; holder: Acquisition }> {
  const fixture = new EngineFixture({ max: 1, shedding: true, prePing: false, ...options })
  const holder = await fixture.lease()
  return { fixture, holder }
}

/** A caller comes every so many milliseconds, and nobody releases. */
async function arrivals(fixture: EngineFixture, everyMillis: number, count: number): Promise<Acquisition[]> {
  const callers: Acquisition[] = []
  for (let number = 0; number < count; number++) {
    callers.push(fixture.acquire())
    await fixture.clock.advance(everyMillis)
  }
  return callers
}

const refused = (callers: readonly Acquisition[]): number =>
  callers.filter(({ error }) => error?.code === 'HOLDFAST_POOL_OVERLOADED').length

describe('shedding', () => {
  test('refuses nobody before an interval has passed in which everybody waited for long', async () => {
    const { fixture } = await held()
    using _ = fixture
    const callers = await arrivals(fixture, 99, 10)
    expect(refused(callers)).toBe(0)
    await fixture.clock.advance(20)
    expect(refused(callers)).toBe(10)
  })

  test('then refuses each caller as soon as it has waited for the target', async () => {
    const { fixture } = await held()
    using _ = fixture
    await arrivals(fixture, 100, 11)
    const late = fixture.acquire()
    await fixture.clock.advance(TARGET - 1)
    expect(late.error).toBeUndefined()
    await fixture.clock.advance(2)
    expect(late.error).toMatchObject({ code: 'HOLDFAST_POOL_OVERLOADED', maxWaiting: undefined })
    const { waitedMillis, retryAfterMillis } = late.error as unknown as Record<string, number>
    expect(waitedMillis).toBeGreaterThanOrEqual(TARGET)
    expect(retryAfterMillis).toBeGreaterThanOrEqual(INTERVAL)
    expect(retryAfterMillis).toBeLessThanOrEqual(2 * INTERVAL)
    expect(fixture.counts.waiting).toBe(0)
  })

  test('is told once each time that it begins', async () => {
    const { fixture } = await held()
    using _ = fixture
    await arrivals(fixture, 100, 20)
    const told = (): number => fixture.events.filter(({ type }) => type === 'pool-overloaded').length
    expect(told()).toBe(1)
    await fixture.clock.advance(INTERVAL)
    await arrivals(fixture, 100, 12)
    expect(told()).toBe(2)
  })

  test('ends when for an interval nobody had to be refused: then a burst may wait again', async () => {
    const { fixture, holder } = await held()
    using _ = fixture
    await arrivals(fixture, 100, 12)
    await fixture.clock.advance(INTERVAL)
    const burst = await arrivals(fixture, 10, 20)
    await fixture.clock.advance(500)
    expect(refused(burst)).toBe(0)
    holder.release()
    for (const caller of burst) caller.release()
    expect(refused(burst)).toBe(0)
  })

  test('a pool where somebody is served in time again and again refuses nobody', async () => {
    const { fixture } = await held({ max: 2 })
    using _ = fixture
    const slow = fixture.acquire()
    await fixture.clock.advance(0)
    expect(slow.connection).toBeDefined()
    const patient: Acquisition[] = []
    let turn = slow
    for (let number = 0; number < 40; number++) {
      const next = fixture.acquire()
      await fixture.clock.advance(40)
      turn.release()
      await fixture.clock.advance(0)
      patient.push(next)
      turn = next
    }
    expect(refused(patient)).toBe(0)
  })

  test('refuses nobody while connections are being opened, and counts from then on', async () => {
    using fixture = new EngineFixture({ max: 1, shedding: true, connectionTimeoutMillis: 60_000 })
    fixture.server.welcome = systemError('ECONNREFUSED')
    const callers = await arrivals(fixture, 500, 20)
    expect(refused(callers)).toBe(0)
    fixture.server.welcome = 'accept'
    await fixture.clock.advance(INTERVAL - 100)
    expect(refused(callers)).toBe(0)
  })

  test('keeps no process alive, and leaves no timer', async () => {
    const { fixture, holder } = await held({ connectionTimeoutMillis: 0 })
    using _ = fixture
    const waiter = fixture.acquire()
    expect(fixture.clock.timers('process')).toBe(0)
    const background = fixture.clock.timers('nothing')
    holder.release()
    expect(waiter.connection).toBeDefined()
    expect(fixture.clock.timers('nothing')).toBeLessThan(background)
  })

  test.each([
    [{ shedding: 'yes' }, /`shedding` must be true, false, or \{ targetMillis, intervalMillis \}, got 'yes'/],
    [{ shedding: { targetMillis: 0 } }, /`shedding\.targetMillis` must be a number from 1 on, got 0/],
    [{ shedding: { targetMillis: 2000 } }, /`shedding\.targetMillis` must be at most `intervalMillis` \(1000\)/],
    [{ shedding: { target: 5 } }, /`shedding\.target` is not an option/],
  ])('refuses %o, and says what is allowed', (options, message) => {
    expect(() => new EngineFixture(options as PoolOptions)).toThrow(message)
  })
})
