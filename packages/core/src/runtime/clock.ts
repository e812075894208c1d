// The global is a getter, which costs a third as much again.
import { performance } from 'node:perf_hooks'
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
  /** Runs `task` after input that already lies in the sockets has been read, if this is asked by a timer. */
  afterPendingInput(task: () => void): Cancel
  /** Runs `task` after input that already lies in the sockets has been read, wherever this is asked. */
  afterReading(task: () => void): void
  /**
   * Whether input may lie unread in the sockets because something has blocked the event loop. Also true if that is not
   * known: the loop is watched from the first question on, for as long as questions come.
   */
  isBehind(now: number): boolean
  /** A number in [0, 1), for jitter. */
  random(): number
}

// Node turns a longer delay into 1 ms, which would make "never" mean "now".
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1

const nothingToCancel: Cancel = () => {}

// How often the event loop is looked at while it is watched, and how late a look may be before the loop counts as blocked.
const LOOK_MILLIS = 25
const LATE_MILLIS = 50
const WATCHED_MILLIS = 1000

/** Knows whether the event loop has read its sockets lately. Its timer keeps no process alive. */
class LoopWatch {
  #timer: NodeJS.Timeout | undefined
  #askedAt = 0
  /** All that had arrived by then has been read. */
  #readUntil = 0

  isBehind(now: number): boolean {
    this.#askedAt = now
    if (this.#timer) return now - this.#readUntil > LOOK_MILLIS + LATE_MILLIS
    this.#timer = inNoContext(() => setInterval(() => this.#look(), LOOK_MILLIS).unref())
    return true
  }

  #look(): void {
    const now = performance.now()
    // Timers fire before the sockets are polled, immediates after.
    setImmediate(() => {
      this.#readUntil = now
    })
    if (now - this.#askedAt < WATCHED_MILLIS) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

const loopWatch = new LoopWatch()

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
  afterReading(task) {
    // An immediate that is set while the sockets are read comes before they are polled again; one that it sets, after.
    setImmediate(() => setImmediate(task))
  },
  isBehind: (now) => loopWatch.isBehind(now),
  random: () => Math.random(),
}
