import type { Clock } from '../runtime/clock.ts'
import type { Interruption } from '../telemetry/events.ts'

// Two intervals of maintenance, so that a busy event loop alone doesn't count as a suspension.
const LONGEST_GAP_MILLIS = 2000
// While a machine sleeps, the monotonic clock stands still and the wall clock goes on. Small differences come from NTP.
const LARGEST_DRIFT_MILLIS = 1000

// Under load the wall clock isn't read more often: what happens within a millisecond has begun already.
const SHORTEST_LOOK_MILLIS = 1

/**
 * Notices that the process was suspended (SIGSTOP, a frozen Lambda, a sleeping laptop) while the server went on, or that it is
 * another process than before (a V8 start-up snapshot).
 */
export class ProcessGuard {
  readonly #clock: Clock
  readonly #readPid: () => number
  #now: number
  #wall: number
  #pid: number

  constructor(clock: Clock, readPid: () => number) {
    this.#clock = clock
    this.#readPid = readPid
    this.#now = clock.now()
    this.#wall = clock.wall()
    this.#pid = readPid()
  }

  /** What has happened since the last look, if anything. Maintenance looks every second, and so does each acquire. */
  look(now: number): Interruption | undefined {
    const gap = now - this.#now
    // The clock of a new process starts again, so its time may be earlier.
    if (gap >= 0 && gap < SHORTEST_LOOK_MILLIS) return undefined
    const wall = this.#clock.wall()
    const drift = Math.abs(wall - this.#wall - gap)
    const from = this.#pid
    this.#now = now
    this.#wall = wall
    this.#pid = this.#readPid()
    if (this.#pid !== from) return { type: 'process-changed', from, to: this.#pid }
    return gap > LONGEST_GAP_MILLIS || drift > LARGEST_DRIFT_MILLIS ? { type: 'process-suspended' } : undefined
  }
}
