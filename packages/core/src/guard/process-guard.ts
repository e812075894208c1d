import type { Clock } from '../runtime/clock.ts'
import type { Interruption } from '../telemetry/events.ts'

// Two heartbeats of upkeep, so that a busy event loop alone does not ring the bell.
const LONGEST_GAP_MILLIS = 2000
// The monotonic clock stands still while a machine sleeps, the wall clock goes on; small corrections are NTP's.
const LARGEST_DRIFT_MILLIS = 1000

// Under load the wall clock needn't be read more often: what happens within a millisecond was under way anyway.
const SHORTEST_LOOK_MILLIS = 1

/**
 * Notices that the process stood still (SIGSTOP, a frozen Lambda, a suspended laptop) while the server lived on, or
 * that it is another one than before (a V8 start-up snapshot).
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

  /** What has happened since the last look, if anything. Upkeep looks every second, and each acquire does. */
  look(now: number): Interruption | undefined {
    const gap = now - this.#now
    // A new process begins to count anew, so its time may lie before the old one's.
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
