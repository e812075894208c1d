import type { Cancel, Clock, KeepsAlive } from './clock.ts'

// A timer this late says more about this process than about the server: its event loop was blocked, or it was suspended.
const LATE_MILLIS = 100
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
      lateBy < LATE_MILLIS
        ? clock.afterPendingInput(judge)
        : clock.schedule(Math.min(lateBy, LONGEST_GRACE_MILLIS), judgeAfterInput, keepsAlive)
  }
  function judgeAfterInput(): void {
    cancel = clock.afterPendingInput(judge)
  }
  return () => cancel()
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
