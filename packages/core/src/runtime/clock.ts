// The global is a getter, which costs a third as much again.
import { performance } from 'node:perf_hooks'
import { inNoContext } from './context.ts'

/** What a timer keeps alive: one that a caller waits for keeps the process, one for a background task keeps nothing. */
export type KeepsAlive = 'process' | 'nothing'

/** Cancels a timer. Does nothing when called again, or after the timer has fired. */
export type Cancel = () => void

/** Time and chance for the pool. Injected, so that tests control both. */
export interface Clock {
  /** Monotonic milliseconds, for ages and deadlines. Stands still while the machine is suspended. */
  now(): number
  /** Wall-clock milliseconds since the epoch: also counts while the machine is suspended, as the server's clock does. */
  wall(): number
  /** Runs `task` once after `delayMillis`; `Infinity` means never. A background task runs in an empty context. */
  schedule(delayMillis: number, task: () => void, keepsAlive: KeepsAlive): Cancel
  /** Runs `task` after the input that is in the sockets has been read, if a timer calls this. */
  afterPendingInput(task: () => void): Cancel
  /** Runs `task` after the input that is in the sockets has been read, whatever calls this. */
  afterReading(task: () => void): void
  /**
   * Whether input may be unread in the sockets because something has blocked the event loop. Also true while that is not
   * known: the first call starts a watch of the event loop, which stops a second after the last call.
   */
  isBehind(now: number): boolean
  /** A number in [0, 1), for jitter. */
  random(): number
}

// Node turns a longer delay into 1 ms, which would make "never" mean "now".
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1

const nothingToCancel: Cancel = () => {}

// The event loop is checked this often while it is watched, and counts as blocked when a check is this late.
const CHECK_MILLIS = 25
const LATE_MILLIS = 50
const WATCHED_MILLIS = 1000

/** Knows whether the event loop has read its sockets recently. Its timer keeps no process alive. */
class LoopWatch {
  #timer: NodeJS.Timeout | undefined
  #askedAt = 0
  /** Everything that had arrived at this time has been read. */
  #readUntil = 0

  isBehind(now: number): boolean {
    this.#askedAt = now
    if (this.#timer) return now - this.#readUntil > CHECK_MILLIS + LATE_MILLIS
    this.#timer = inNoContext(() => setInterval(() => this.#check(), CHECK_MILLIS).unref())
    return true
  }

  #check(): void {
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
    const isBackground = keepsAlive === 'nothing'
    const timer = isBackground ? inNoContext(() => setTimeout(task, delayMillis)) : setTimeout(task, delayMillis)
    if (isBackground) timer.unref()
    return () => clearTimeout(timer)
  },
  afterPendingInput(task) {
    // Timers fire before the sockets are polled, immediates after.
    const immediate = setImmediate(task)
    return () => clearImmediate(immediate)
  },
  afterReading(task) {
    // An immediate that is set while sockets are read runs before the next poll; an immediate that it sets runs after.
    setImmediate(() => setImmediate(task))
  },
  isBehind: (now) => loopWatch.isBehind(now),
  random: () => Math.random(),
}

// A timer this late says more about this process than about the server: its event loop was blocked, or it was suspended.
const LATE_TIMER_MILLIS = 100
const LONGEST_GRACE_MILLIS = 1000

/**
 * Runs `judge` when `millis` have passed, but not before replies that are in the sockets have been read: after a blocked
 * event loop timers fire first, and connections that answered long ago would count as dead.
 *
 * A timer that fires late allows the time that it was late by, at most a second, for answers that take several round trips.
 */
export function afterPatience(clock: Clock, millis: number, keepsAlive: KeepsAlive, judge: () => void): Cancel {
  const due = clock.now() + millis
  let cancel = clock.schedule(millis, expired, keepsAlive)

  function expired(): void {
    const lateBy = clock.now() - due
    cancel =
      lateBy < LATE_TIMER_MILLIS
        ? clock.afterPendingInput(judge)
        : clock.schedule(Math.min(lateBy, LONGEST_GRACE_MILLIS), judgeAfterInput, keepsAlive)
  }
  function judgeAfterInput(): void {
    cancel = clock.afterPendingInput(judge)
  }
  return () => cancel()
}

/** A time by `wall()`, as users read it. */
export function dateOf(wallMillis: number): Date {
  return new Date(wallMillis)
}

/** Resolves after so many milliseconds. */
export function pause(clock: Pick<Clock, 'schedule'>, millis: number, keepsAlive: KeepsAlive): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(millis, resolve, keepsAlive)
  })
}

/** Settles like `promise`, or rejects after `millis`. What `promise` does after that is ignored. */
export function withinPatience<Result>(
  clock: Clock,
  millis: number,
  promise: Promise<Result>,
  timeoutError: () => Error,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = afterPatience(clock, millis, 'nothing', () => reject(timeoutError()))
    promise.then(resolve, reject).finally(cancel)
  })
}
