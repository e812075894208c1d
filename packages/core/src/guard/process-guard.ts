import type { Clock } from '../runtime/clock.ts'

// Two heartbeats of upkeep, so that a busy event loop alone does not ring the bell.
const LONGEST_GAP_MILLIS = 2000
// The monotonic clock stands still while a machine sleeps, the wall clock goes on; small corrections are NTP's.
const LARGEST_DRIFT_MILLIS = 1000

/** Notices that the process stood still (SIGSTOP, a frozen Lambda, a suspended laptop) while the server lived on. */
export class ProcessGuard {
  readonly #clock: Clock
  #now: number
  #wall: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#now = clock.now()
    this.#wall = clock.wall()
  }

  /** Whether the process stood still since the last look. Upkeep looks every second, and each acquire does. */
  stoodStill(): boolean {
    const now = this.#clock.now()
    const wall = this.#clock.wall()
    const gap = now - this.#now
    const drift = Math.abs(wall - this.#wall - gap)
    this.#now = now
    this.#wall = wall
    return gap > LONGEST_GAP_MILLIS || drift > LARGEST_DRIFT_MILLIS
  }
}
