import { performance } from 'node:perf_hooks'
import { vi } from 'vitest'
import { type Cancel, type Clock, type KeepsAlive, systemClock } from '../../packages/core/src/runtime/clock.ts'

// Vitest's immediate would come a millisecond late. The real one comes between two fake timers.
const { setImmediate: setRealImmediate, clearImmediate: clearRealImmediate } = globalThis

/**
 * Time and chance under the control of a test: nothing moves by itself. Vitest's fake timers are underneath, so
 * that libraries that set their own timers (p-retry does) move along.
 *
 * ```ts
 * using clock = new FakeClock()
 * await clock.advance(1000)
 * ```
 */
export class FakeClock implements Clock, Disposable {
  /** What chance says, here and to p-retry, from 0 to below 1. */
  chance = 0
  /** The pool's answer to whether the event loop may have been blocked. */
  isBlocked = false
  /** A blocked event loop finds this time when it goes on, whatever the fake timers have got to. */
  #blockedUntil = 0
  #wallAhead = 0
  #afterInput: Set<() => void> | undefined
  readonly #pending = new Map<object, KeepsAlive>()

  constructor() {
    // All but process.nextTick and microtasks, which are order and not time.
    fakeTime({ immediates: true })
    vi.spyOn(Math, 'random').mockImplementation(() => this.chance)
  }

  now(): number {
    return Math.max(systemClock.now(), this.#blockedUntil)
  }

  wall(): number {
    return systemClock.wall() + (this.now() - systemClock.now()) + this.#wallAhead
  }

  schedule(delayMillis: number, task: () => void, keepsAlive: KeepsAlive): Cancel {
    const timer = {}
    const fire = (): void => {
      this.#pending.delete(timer)
      task()
    }
    this.#pending.set(timer, keepsAlive)
    const cancel = systemClock.schedule(delayMillis + this.now() - systemClock.now(), fire, keepsAlive)
    return () => {
      this.#pending.delete(timer)
      cancel()
    }
  }

  afterPendingInput(task: () => void): Cancel {
    if (this.#afterInput) {
      const tasks = this.#afterInput.add(task)
      return () => tasks.delete(task)
    }
    const immediate = setRealImmediate(task)
    return () => clearRealImmediate(immediate)
  }

  afterReading(task: () => void): void {
    this.afterPendingInput(task)
  }

  isBehind(): boolean {
    return this.isBlocked
  }

  random(): number {
    return this.chance
  }

  /** How many timers of the pool are set that keep the process alive, or that don't. */
  timers(keepsAlive: KeepsAlive): number {
    return [...this.#pending.values()].filter((each) => each === keepsAlive).length
  }

  /** Lets time pass, timer by timer, and whatever hangs on them happen. `advance(0)` lets only the latter happen. */
  async advance(millis: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(millis)
  }

  /**
   * Lets time pass while nothing can run. Then, as in Node: timers that became due fire, late; then the sockets are
   * read, in which `arrived` meanwhile; then what waits for `afterPendingInput` runs.
   */
  async blockEventLoop(millis: number, arrived: () => void = () => {}): Promise<void> {
    this.#blockedUntil = this.now() + millis
    const tasks = new Set<() => void>()
    this.#afterInput = tasks
    await this.advance(millis)
    arrived()
    await this.advance(0)
    this.#afterInput = undefined
    for (const task of tasks) task()
    await this.advance(0)
  }

  /** Lets the machine sleep: the wall clock goes on, the monotonic clock and all timers stop. */
  freeze(millis: number): void {
    this.#wallAhead += millis
  }

  [Symbol.dispose](): void {
    realTime()
  }
}

/** Vitest's fake timers, and Node's own monotonic clock with them: that one is imported, and Vitest fakes the global. */
export function fakeTime({ immediates }: { readonly immediates: boolean }): void {
  const timers = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'] as const
  vi.useFakeTimers({ toFake: immediates ? [...timers, 'setImmediate', 'clearImmediate'] : [...timers] })
  const faked = globalThis.performance
  // Not by a spy, which would remember every call.
  Object.defineProperty(performance, 'now', { value: () => faked.now(), configurable: true })
}

/** Undoes {@link fakeTime}, and all mocks. */
export function realTime(): void {
  vi.restoreAllMocks()
  vi.useRealTimers()
  Reflect.deleteProperty(performance, 'now') // Node's own is its prototype's.
}
