import { PoolOverloadedError } from '../errors.ts'
import type { Shedding as Settings } from '../options/read-values.ts'
import { afterPatience, type Cancel } from '../runtime/clock.ts'
import type { EngineContext } from './engine-context.ts'
import type { QueueEntry } from './waiter-list.ts'

/** The queue, as far as it sheds load. */
interface ShedQueue {
  readonly size: number
  readonly first: QueueEntry | undefined
  failFirst(count: number, makeError: () => Error): void
}

/**
 * Sheds load, so that a queue that has grown longer than the patience of its callers gets short again. The pool is overloaded when
 * no caller has waited for less than `targetMillis` during `intervalMillis`. From then on, each caller that has waited for
 * `targetMillis` is refused, until an interval has passed without a refusal. A short burst is served as without this, and so are
 * callers that wait while connections are merely being opened.
 *
 * @see https://queue.acm.org/detail.cfm?id=2209336 for CoDel, and Ecto's `DBConnection.ConnectionPool` for its use in a pool
 */
export class Shedding {
  readonly #engine: EngineContext
  readonly #queue: ShedQueue
  readonly #settings: Settings
  /** When a caller has last waited for less than the target, or none has waited at all. */
  #promptAt = 0
  /** When a caller was last refused, if connections were in use all the time since. */
  #shedAt = Number.NEGATIVE_INFINITY
  #cancelTimer: Cancel | undefined

  /** Undefined unless the user wants it. */
  static of(engine: EngineContext, queue: ShedQueue): Shedding | undefined {
    const { shedding } = engine.options
    return shedding ? new Shedding(engine, queue, shedding) : undefined
  }

  private constructor(engine: EngineContext, queue: ShedQueue, settings: Settings) {
    this.#engine = engine
    this.#queue = queue
    this.#settings = settings
  }

  /** A waiter has entered the queue. */
  entered(now: number): void {
    if (this.#queue.size === 1) this.#promptAt = now
    this.#setTimer(now)
  }

  /** A waiter gets a connection. */
  served(waitedMillis: number, now: number): void {
    if (waitedMillis < this.#settings.targetMillis) this.#promptAt = now
  }

  /** The last waiter has left. */
  ended(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #setTimer(now: number): void {
    const { first } = this.#queue
    if (this.#cancelTimer || !first) return
    const due = Math.max(first.queuedAt + this.#settings.targetMillis, this.#overloadedFrom(now))
    this.#cancelTimer = afterPatience(this.#engine.clock, Math.max(due - now, 1), 'nothing', () => this.#look())
  }

  #look(): void {
    const now = this.#engine.clock.now()
    if (!this.#isSaturated()) {
      this.#promptAt = now
      this.#shedAt = Number.NEGATIVE_INFINITY
    } else if (this.#overloadedFrom(now) <= now) this.#shed(now)
    this.#cancelTimer = undefined
    this.#setTimer(now)
  }

  /** Whether a caller was refused during the last interval: the overload lasts. */
  #isShedding(now: number): boolean {
    return now - this.#shedAt < this.#settings.intervalMillis
  }

  /** From when on callers are refused that wait for longer than the target. */
  #overloadedFrom(now: number): number {
    return this.#isShedding(now) ? now : this.#promptAt + this.#settings.intervalMillis
  }

  /** Refuses those that have waited for too long. What is told runs the callers' code, which may enter the queue. */
  #shed(now: number): void {
    const { targetMillis, intervalMillis } = this.#settings
    const { clock, publisher } = this.#engine
    const late = (): QueueEntry | undefined => {
      const { first } = this.#queue
      return first && now - first.queuedAt >= targetMillis ? first : undefined
    }
    if (late() && !this.#isShedding(now))
      publisher.publish({ type: 'pool-overloaded', waiting: this.#queue.size, targetMillis })
    for (let entry = late(); entry; entry = late()) {
      this.#shedAt = now
      const waitedMillis = now - entry.queuedAt
      // Each at another time, so that they don't all come back together.
      const retryAfterMillis = Math.round(intervalMillis * (1 + clock.random()))
      this.#queue.failFirst(1, () => new PoolOverloadedError({ waitedMillis, retryAfterMillis }))
    }
  }

  /** Whether only the work of other callers keeps these waiting: every connection that there may be is in use. */
  #isSaturated(): boolean {
    const { inventory, options } = this.#engine
    return inventory.count('leased') + inventory.count('resetting') >= options.max
  }
}
