import { expect, test } from 'vitest'
import { ProcessGuard } from '../../../packages/core/src/guard/process-guard.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** Time goes on, but the monotonic clock advances by only a millisecond. */
function asleep(millis: number): (clock: FakeClock) => Promise<void> {
  return async (clock) => {
    clock.freeze(millis)
    await clock.advance(1)
  }
}

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
  { name: 'a machine asleep', happens: asleep(1001), stood: true },
  {
    name: 'a small correction of the wall clock',
    happens: asleep(900),
    stood: false,
  },
  { name: 'a wall clock set back', happens: asleep(-5000), stood: true },
])('after $name the process counts as suspended: $stood', async ({ happens, stood }) => {
  using clock = new FakeClock()
  const guard = new ProcessGuard(clock, () => 1)
  await happens(clock)
  expect(guard.look(clock.now())).toEqual(stood ? { type: 'process-suspended' } : undefined)
})

test('reports a suspension once', async () => {
  using clock = new FakeClock()
  const guard = new ProcessGuard(clock, () => 1)
  clock.freeze(60_000)
  await clock.advance(1)
  expect(guard.look(clock.now())).toEqual({ type: 'process-suspended' })
  await clock.advance(1000)
  expect(guard.look(clock.now())).toBeUndefined()
})

test('reads the wall clock at most once a millisecond, and misses nothing', async () => {
  using clock = new FakeClock()
  const guard = new ProcessGuard(clock, () => 1)
  clock.freeze(60_000)
  expect(guard.look(clock.now())).toBeUndefined()
  await clock.advance(1)
  expect(guard.look(clock.now())).toEqual({ type: 'process-suspended' })
})

test('reports once that this is another process, though its clock starts again', async () => {
  using clock = new FakeClock()
  await clock.advance(5000)
  let pid = 1
  const guard = new ProcessGuard(clock, () => pid)
  pid = 2
  expect(guard.look(3)).toEqual({ type: 'process-changed', from: 1, to: 2 })
  expect(guard.look(4)).toBeUndefined()
})
