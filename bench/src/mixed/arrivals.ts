import { setTimeout as sleep } from 'node:timers/promises'

/** How callers arrive: so many turns a second of all together, whether the pool keeps up or not. */
export interface Pace {
  readonly callers: number
  readonly turnsPerSecond: number
  /** So many callers arrive at once. */
  readonly groupOf: number
}

/**
 * When the turns of one caller are due. A pool that is faster gets no more to do for it: with callers that ask for the next
 * thing as soon as they have the last, the fastest pool would have the most slow statements at work at once.
 */
export class Arrivals {
  readonly #intervalMillis: number
  #dueAt: number

  /** `index` is the number of the caller, from 0. */
  constructor({ callers, turnsPerSecond, groupOf }: Pace, index: number, now: number = performance.now()) {
    this.#intervalMillis = (callers * 1000) / turnsPerSecond
    this.#dueAt = now + (Math.floor(index / groupOf) * groupOf * this.#intervalMillis) / callers
  }

  /** Waits until the next turn is due. Returns since when it counts: a caller that is late has waited for longer. */
  async next(): Promise<number> {
    const dueAt = this.#dueAt
    this.#dueAt += this.#intervalMillis
    let now = performance.now()
    if (now >= dueAt) return dueAt
    // A timer may be early: it counts from when the loop last looked at the clock.
    for (; now < dueAt; now = performance.now()) await sleep(dueAt - now)
    return now
  }
}
