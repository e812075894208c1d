import { expect, test } from 'vitest'
import { ProcessGuard } from '../../../packages/core/src/guard/process-guard.ts'
import { FakeClock } from '../../support/fake-clock.ts'

test.each([
  { name: 'nothing', happens: async () => {}, stood: false },
  { name: 'a second between two looks', happens: (clock: FakeClock) => clock.advance(1000), stood: false },
  {
    name: 'a look that comes late in a busy process',
    happens: (clock: FakeClock) => clock.advance(2000),
    stood: false,
  },
  { name: 'a gap (SIGSTOP)', happens: (clock: FakeClock) => clock.advance(2001), stood: true },
  { name: 'a blocked event loop of seconds', happens: (clock: FakeClock) => clock.blockEventLoop(3000), stood: true },
  { name: 'a machine asleep', happens: async (clock: FakeClock) => clock.freeze(1001), stood: true },
  {
    name: 'a small correction of the wall clock',
    happens: async (clock: FakeClock) => clock.freeze(900),
    stood: false,
  },
  { name: 'a wall clock set back', happens: async (clock: FakeClock) => clock.freeze(-5000), stood: true },
])('after $name the process stood still: $stood', async ({ happens, stood }) => {
  using clock = new FakeClock()
  const guard = new ProcessGuard(clock)
  await happens(clock)
  expect(guard.stoodStill()).toBe(stood)
})

test('tells of a standstill once', async () => {
  using clock = new FakeClock()
  const guard = new ProcessGuard(clock)
  clock.freeze(60_000)
  expect(guard.stoodStill()).toBe(true)
  await clock.advance(1000)
  expect(guard.stoodStill()).toBe(false)
})
