import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../../packages/core/src/runtime/clock.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** The timer that was set in Node. */
function timerOf(set: () => void): NodeJS.Timeout | undefined {
  const setTimer = vi.spyOn(globalThis, 'setTimeout')
  try {
    set()
    return setTimer.mock.results[0]?.value as NodeJS.Timeout | undefined
  } finally {
    setTimer.mockRestore()
  }
}

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1')
  const accepted = new Promise<Socket>((resolve) => server.on('connection', resolve))
  await new Promise((resolve) => server.on('listening', resolve))
  const ours = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await new Promise((resolve) => ours.on('connect', resolve))
  const theirs = await accepted
  server.close()
  return [ours, theirs]
}

/** Keeps the event loop from turning. */
function block(millis: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}

test.each([2 ** 31, 1e12, Number.POSITIVE_INFINITY])('a timer of %d ms never fires, instead of after 1 ms', (delay) => {
  const task = vi.fn()
  let cancel: (() => void) | undefined
  const timer = timerOf(() => {
    cancel = systemClock.schedule(delay, task, 'process')
  })
  expect(timer).toBeUndefined()
  expect(cancel).not.toThrow()
})

test.each([
  { keepsAlive: 'process', hasRef: true },
  { keepsAlive: 'nothing', hasRef: false },
] as const)("a timer that keeps alive '$keepsAlive' is ref'd: $hasRef", ({ keepsAlive, hasRef }) => {
  let cancel: (() => void) | undefined
  const timer = timerOf(() => {
    cancel = systemClock.schedule(60_000, () => {}, keepsAlive)
  })
  expect(timer?.hasRef()).toBe(hasRef)
  cancel?.()
})

test('a cancelled timer does not fire', async () => {
  using clock = new FakeClock()
  const task = vi.fn()
  const cancel = systemClock.schedule(10, task, 'process')
  cancel()
  cancel()
  await clock.advance(20)
  expect(task).not.toHaveBeenCalled()
})

test('a reply that arrived while the event loop was blocked is read first, although the timer fires first', async () => {
  const order: string[] = []
  const [ours, theirs] = await socketPair()
  await new Promise<void>((done) => {
    ours.on('data', () => order.push('reply'))
    const judge = (): void => {
      order.push('judged')
      done()
    }
    systemClock.schedule(
      5,
      () => {
        order.push('timer')
        systemClock.afterPendingInput(judge)
      },
      'process',
    )
    theirs.write('x')
    block(50)
  })
  ours.destroy()
  theirs.destroy()
  expect(order).toEqual(['timer', 'reply', 'judged'])
})

test('a task that waits until the sockets are read runs after their input, also when an answer schedules it', async () => {
  const order: string[] = []
  const [[first, itsPeer], [second, secondPeer]] = await Promise.all([socketPair(), socketPair()])
  await new Promise<void>((done) => {
    second.on('data', () => order.push('unread'))
    first.on('data', () => {
      order.push('answer')
      secondPeer.write('x')
      block(50)
      systemClock.afterReading(() => {
        order.push('read')
        done()
      })
    })
    itsPeer.write('x')
  })
  for (const socket of [first, itsPeer, second, secondPeer]) socket.destroy()
  expect(order).toEqual(['answer', 'unread', 'read'])
})

describe('whether the event loop is behind', () => {
  const isBehind = (): boolean => systemClock.isBehind(systemClock.now())

  test('the event loop counts as behind until it is known, and no more after a turn of the loop', async () => {
    isBehind()
    await vi.waitFor(() => expect(isBehind()).toBe(false))
  })

  test('the event loop counts as behind in the tick that has blocked it, and until the sockets are read', async () => {
    isBehind()
    await vi.waitFor(() => expect(isBehind()).toBe(false))
    const answers: boolean[] = []
    await new Promise<void>((done) => {
      setTimeout(() => {
        block(200)
        answers.push(isBehind())
        // Runs before the sockets are polled.
        process.nextTick(() => {
          answers.push(isBehind())
          done()
        })
      })
    })
    expect(answers).toEqual([true, true])
    await vi.waitFor(() => expect(isBehind()).toBe(false))
  })
})

test('a task that waits for pending input can be cancelled', async () => {
  using clock = new FakeClock()
  const task = vi.fn()
  systemClock.afterPendingInput(task)()
  await clock.advance(1)
  expect(task).not.toHaveBeenCalled()
})

test('the wall clock goes on while the monotonic one stands still', () => {
  using clock = new FakeClock()
  const [now, wall] = [clock.now(), clock.wall()]
  clock.freeze(5000)
  expect(clock.now() - now).toBe(0)
  expect(clock.wall() - wall).toBe(5000)
})
