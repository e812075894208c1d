import { connectCauseOf, isBudgetUsedUp } from '../errors.ts'
import { codeOf } from '../thrown.ts'
import type { EngineContext } from './engine-context.ts'
import type { HealthCheck } from './health-check.ts'
import type { Retirement } from './retire.ts'

/** A connection that was unused for so long isn't needed for what the pool does just now. */
const UNUSED_MILLIS = 1000
/** How long it counts that the server was near its limit. */
const FULL_MILLIS = 10_000
/** The pause before the second look, which doubles while the server is far from its limit. */
const FIRST_PAUSE_MILLIS = 1000
/** Then the server is left alone: one that sleeps while no statement comes is to get its sleep. */
const MOST_LOOKS = 4
const TOO_MANY_CONNECTIONS = '53300'

/** What closing the surplus uses. */
export interface SurplusParts {
  readonly retirement: Retirement
  readonly healthCheck: HealthCheck
}

/**
 * Idle connections that another process may need more: while the server is near its limit, those that were unused for a second are
 * closed, down to `min`. Whether it is near its limit is asked only while there are such connections.
 */
export class Surplus {
  readonly #engine: EngineContext
  readonly #parts: SurplusParts
  #isLooking = false
  #looks = 0
  #nextLookAt = 0
  #fullAt = Number.NEGATIVE_INFINITY

  constructor(engine: EngineContext, parts: SurplusParts) {
    this.#engine = engine
    this.#parts = parts
  }

  /** Closes what isn't needed, or looks at whether it has to. */
  run(now: number): void {
    const { inventory, options, lastConnectFailure } = this.#engine
    const unused = inventory.idle().filter(({ idleSince }) => now - idleSince >= UNUSED_MILLIS)
    const surplus = unused.slice(0, Math.max(0, inventory.idleCount - options.min))
    if (surplus.length === 0) {
      this.#looks = 0
      return
    }
    // Other processes wait for a slot as well.
    const cause = connectCauseOf(lastConnectFailure)
    if (codeOf(cause) === TOO_MANY_CONNECTIONS && !isBudgetUsedUp(cause)) this.#fullAt = now
    if (now - this.#fullAt < FULL_MILLIS)
      for (const connection of surplus) this.#parts.retirement.retire(connection, 'server-full')
    else if (this.#looks < MOST_LOOKS && now >= this.#nextLookAt) this.#look()
  }

  #look(): void {
    const { capacity, clock } = this.#engine
    if (this.#isLooking || !capacity) return
    this.#isLooking = true
    const looking = this.#parts.healthCheck.askIdle((connection) => capacity.isNearlyFull(connection))
    void looking
      ?.then((isNearlyFull) => {
        const now = clock.now()
        this.#nextLookAt = now + FIRST_PAUSE_MILLIS * 2 ** this.#looks++
        if (!isNearlyFull) return
        this.#fullAt = now
        this.run(now)
      })
      .finally(() => {
        this.#isLooking = false
      })
  }
}
