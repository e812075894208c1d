import { inNoContext } from './context.ts'

/** What a timer keeps alive: a caller who awaits keeps the process, a background chore keeps nothing. */
export type KeepsAlive = 'process' | 'nothing'

/** Takes a timer back. Calling it again, or after the timer fired, does nothing. */
export type Cancel = () => void

/** Time and chance as the pool sees them; injected, so that tests can move both. */
export interface Clock {
  /** Monotonic milliseconds: for ages and deadlines. Stands still while the machine is suspended. */
  now(): number
  /** Wall-clock milliseconds since the epoch: what the server has lived through meanwhile. */
  wall(): number
  /** Runs `task` once after `delayMillis`; `Infinity` means never. A background chore runs in nobody's context. */
  schedule(delayMillis: number, task: () => void, keepsAlive: KeepsAlive): Cancel
  /** Runs `task` after input that already lies in the sockets has been read. */
  afterPendingInput(task: () => void): Cancel
  /** A number in [0, 1), for jitter. */
  random(): number
}

// Node turns a longer delay into 1 ms, which would make "never" mean "now".
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1

const nothingToCancel: Cancel = () => {}

/** The real clock. This file is the only one in the package that reads time or sets a timer (p-retry sets its own). */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  schedule(delayMillis, task, keepsAlive) {
    if (delayMillis > LONGEST_TIMER_MILLIS) return nothingToCancel
    const isChore = keepsAlive === 'nothing'
    const timer = isChore ? inNoContext(() => setTimeout(task, delayMillis)) : setTimeout(task, delayMillis)
    if (isChore) timer.unref()
    return () => clearTimeout(timer)
  },
  afterPendingInput(task) {
    // Timers fire before the sockets are polled, immediates after.
    const immediate = setImmediate(task)
    return () => clearImmediate(immediate)
  },
  random: () => Math.random(),
}
