import { expect, test } from 'vitest'
import { afterPatience } from '../../../packages/core/src/runtime/clock.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** A reply that the pool awaits for so long. */
function awaitReply(clock: FakeClock, millis: number): { outcome: string; at: number; arrive: () => void } {
  const reply = {
    outcome: 'pending',
    at: 0,
    arrive() {
      if (reply.outcome === 'pending') reply.outcome = 'answered'
      cancel()
    },
  }
  const cancel = afterPatience(clock, millis, 'process', () => {
    reply.outcome = 'condemned'
    reply.at = clock.now()
  })
  return reply
}

test('a deadline judges when the time has passed', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, 1000)

  await clock.advance(999)
  expect(reply.outcome).toBe('pending')
  await clock.advance(1)
  expect(reply.outcome).toBe('condemned')
})

test('a deadline does not judge what was answered in time', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, 1000)

  await clock.advance(500)
  reply.arrive()
  await clock.advance(60_000)
  expect(reply.outcome).toBe('answered')
  expect(clock.timers('process')).toBe(0)
})

test('a deadline that fires in time reads a reply that is in the socket before it judges', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, 1000)

  await clock.blockEventLoop(1050, reply.arrive)
  expect(reply.outcome).toBe('answered')
})

test('a deadline that fires after a long block of the event loop reads a reply that is in the socket before it judges', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, 1000)

  await clock.blockEventLoop(5000, reply.arrive)
  await clock.advance(5000)
  expect(reply.outcome).toBe('answered')
})

test.each([
  { blocked: 1050, judgedAfter: 1050, why: 'none for a timer less than 100 ms late' },
  { blocked: 1300, judgedAfter: 1600, why: 'as long as the timer was late' },
  { blocked: 8000, judgedAfter: 9000, why: 'a second at most' },
])('a deadline grants a grace after a blocked event loop: $why', async ({ blocked, judgedAfter }) => {
  using clock = new FakeClock()
  const start = clock.now()
  const reply = awaitReply(clock, 1000)

  await clock.blockEventLoop(blocked)
  await clock.advance(10_000)
  expect(reply.outcome).toBe('condemned')
  expect(reply.at - start).toBe(judgedAfter)
})

test('a deadline does not judge a reply that arrives within the grace', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, 1000)

  await clock.blockEventLoop(1500)
  await clock.advance(499)
  reply.arrive()
  await clock.advance(10_000)
  expect(reply.outcome).toBe('answered')
})

test('a deadline reads a reply that is in the socket before it judges, when the event loop was blocked in the grace, too', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, 1000)

  await clock.blockEventLoop(1500)
  await clock.blockEventLoop(600, reply.arrive)
  await clock.advance(10_000)
  expect(reply.outcome).toBe('answered')
})

test('a deadline never judges when its time is infinite', async () => {
  using clock = new FakeClock()
  const reply = awaitReply(clock, Number.POSITIVE_INFINITY)

  await clock.advance(100_000_000)
  expect(reply.outcome).toBe('pending')
})

test.each(['process', 'nothing'] as const)('a deadline keeps alive what it is told to: %s', async (keepsAlive) => {
  using clock = new FakeClock()
  afterPatience(clock, 1000, keepsAlive, () => {})

  expect(clock.timers(keepsAlive)).toBe(1)
  await clock.blockEventLoop(1500) // The timer of the grace keeps the same alive.
  expect(clock.timers(keepsAlive)).toBe(1)
  expect(clock.timers('process') + clock.timers('nothing')).toBe(1)
})
