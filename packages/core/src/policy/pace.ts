// How fast the reads that share connections are expected to be. All times are in milliseconds.

/** On a network without latency the read in front may be this old for another one to follow it. */
const YOUNG_MILLIS = 5
/** A read in front that is older than this, and much older than usual, is in the way of those behind it. */
const STALL_MILLIS = 50
const STALL_TIMES = 4
/** A text that takes longer than this, and longer than usual, has a connection of its own. */
const SLOW_MILLIS = 5
const SLOW_TIMES = 2
/** The estimate moves by this part of itself with each read. */
const STEP = 0.05
const LEAST_MILLIS = 0.01

/** Estimates the median of a stream of times: each moves the estimate a little towards itself, so that outliers count little. */
class Median {
  value = 0

  take(millis: number): void {
    if (this.value === 0) this.value = millis
    const step = millis > this.value ? 1 + STEP : 1 - STEP
    this.value = Math.max(LEAST_MILLIS, this.value * step)
  }
}

/**
 * What is usual for the reads of a pool. A network with latency delays every read that is sent while nothing else is in flight;
 * a server with much to do delays all.
 */
export class Pace {
  readonly #first: Median = new Median()
  readonly #any: Median = new Median()

  /** A read was answered so long after it came to the front. `wasFirst`: nothing was in flight when it was sent. */
  took(millis: number, wasFirst: boolean): void {
    this.#any.take(millis)
    if (wasFirst) this.#first.take(millis)
  }

  /** How old the read in front may be for another one to follow it. */
  get youngMillis(): number {
    return YOUNG_MILLIS + this.#usual
  }

  /** How old the read in front may be before those behind it run elsewhere. */
  get stallMillis(): number {
    return Math.max(STALL_MILLIS, STALL_TIMES * this.#usual)
  }

  /** Whether a text that takes so long is too slow for others to wait behind it. */
  isSlow(millis: number): boolean {
    return millis > SLOW_MILLIS + SLOW_TIMES * this.#usual
  }

  get #usual(): number {
    return Math.max(this.#first.value, this.#any.value)
  }
}
