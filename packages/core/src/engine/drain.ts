import type { Cancel } from '../runtime/clock.ts'
import type { EngineContext } from './engine-context.ts'
import type { Shutdown } from './shutdown.ts'

/** How often a draining pool checks whether it is quiet, in milliseconds. */
const CHECK_MILLIS = 10

/**
 * Serves every caller until the time is up. Then the pool shuts down, and refuses or cuts off what is left. A timer checks
 * whether the pool is quiet, so that no release has to.
 */
export class Drain {
  readonly #engine: EngineContext
  readonly #shutdown: Shutdown
  #until = Number.POSITIVE_INFINITY
  #cancel: Cancel | undefined

  constructor(engine: EngineContext, shutdown: Shutdown) {
    this.#engine = engine
    this.#shutdown = shutdown
  }

  /**
   * Resolves with true as soon as nothing is in use and no caller waits. Resolves with false, when all is closed, if the
   * time was up before. Of several deadlines the earliest counts. Calls `onTimeUp` when the pool closes; without it the
   * pool never closes, and only this wait ends.
   */
  async begin(millis: number, onTimeUp: (() => void) | undefined): Promise<boolean> {
    const engine = this.#engine
    const shutdown = this.#shutdown
    const { clock } = engine
    const until = onTimeUp ? Number.POSITIVE_INFINITY : clock.now() + millis
    if (onTimeUp) this.#limit(millis, onTimeUp)
    // Callers that have just been answered may ask again: wait until they have.
    await new Promise<void>((resolve) => clock.afterPendingInput(resolve))
    while (!shutdown.hasCutOff && !this.#isQuiet() && clock.now() < until)
      await new Promise<void>((resolve) => clock.schedule(CHECK_MILLIS, resolve, 'process'))
    if (engine.isShuttingDown) await shutdown.begin()
    return !shutdown.hasCutOff && this.#isQuiet()
  }

  #limit(millis: number, onTimeUp: () => void): void {
    const { clock } = this.#engine
    const until = clock.now() + millis
    if (until >= this.#until) return
    this.#until = until
    this.#cancel?.()
    const end = (): void => {
      this.#shutdown.cutOff(millis)
      onTimeUp()
    }
    this.#cancel = clock.schedule(millis, end, 'nothing')
  }

  #isQuiet(): boolean {
    return this.#engine.inventory.count('leased') === 0 && !this.#engine.hasWaiters
  }
}
