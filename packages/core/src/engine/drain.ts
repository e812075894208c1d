import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Inventory } from './inventory.ts'
import type { Shutdown } from './shutdown.ts'
import type { WaitQueue } from './wait-queue.ts'

/** How often a draining pool looks whether it is quiet, in milliseconds. */
const LOOK_MILLIS = 10

/** What draining a pool takes. */
export interface DrainParts {
  readonly clock: Clock
  readonly inventory: Inventory
  readonly line: WaitQueue
  readonly closing: Shutdown
}

/**
 * The last while of a pool: every caller is served until the time is up, then the pool closes, and refuses or cuts off what
 * is left. A timer looks for the quiet moment, so that no release pays for it.
 */
export class Drain {
  readonly #parts: DrainParts
  #until = Number.POSITIVE_INFINITY
  #cancel: Cancel | undefined

  constructor(parts: DrainParts) {
    this.#parts = parts
  }

  /**
   * Resolves with true as soon as nothing is in use and nobody waits; with false if the time was up before, when all is
   * closed. Of several deadlines the earliest holds. Calls `onTimeUp` when the pool closes; without that it never closes,
   * and only this wait ends.
   */
  async begin(millis: number, onTimeUp: (() => void) | undefined): Promise<boolean> {
    const { clock, closing } = this.#parts
    const until = onTimeUp ? Number.POSITIVE_INFINITY : clock.now() + millis
    if (onTimeUp) this.#limit(millis, onTimeUp)
    // What the callers who have just been answered ask for next is in line by then.
    await new Promise<void>((resolve) => clock.afterPendingInput(resolve))
    while (!closing.hasCutOff && !this.#isQuiet() && clock.now() < until)
      await new Promise<void>((resolve) => clock.schedule(LOOK_MILLIS, resolve, 'process'))
    if (closing.hasBegun) await closing.begin()
    return !closing.hasCutOff && this.#isQuiet()
  }

  #limit(millis: number, onTimeUp: () => void): void {
    const { clock, closing } = this.#parts
    const until = clock.now() + millis
    if (until >= this.#until) return
    this.#until = until
    this.#cancel?.()
    const end = (): void => {
      closing.cutOff(millis)
      onTimeUp()
    }
    this.#cancel = clock.schedule(millis, end, 'nothing')
  }

  #isQuiet(): boolean {
    const { inventory, line } = this.#parts
    return inventory.count('leased') === 0 && !line.first
  }
}
