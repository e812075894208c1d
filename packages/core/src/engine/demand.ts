import type { ConnectScheduler } from './connect-scheduler.ts'
import type { EngineContext } from './engine-context.ts'
import type { HealthCheck } from './health-check.ts'
import type { Opening } from './opening.ts'
import type { Usability } from './usability.ts'
import type { WaitQueue } from './wait-queue.ts'

/** The engine, as the demand sees it. */
interface DemandContext extends EngineContext {
  readonly healthCheck: HealthCheck
}

/** What meets the demand. */
export interface DemandParts {
  readonly waitQueue: WaitQueue
  readonly usability: Usability
  readonly connectScheduler: ConnectScheduler
  readonly opening: Opening
}

/** The connections that the waiters need beyond those that are ready: idle ones are pinged, missing ones are opened. */
export class Demand {
  readonly #engine: DemandContext
  readonly #parts: DemandParts

  constructor(engine: DemandContext, parts: DemandParts) {
    this.#engine = engine
    this.#parts = parts
  }

  /** Has as many pinged or opened as there are waiters. */
  meet(now: number): void {
    const { inventory, options, healthCheck } = this.#engine
    const { waitQueue, usability, connectScheduler, opening } = this.#parts
    opening.ensureSpare()
    const room = options.max - inventory.size - inventory.asking
    if (room <= 0 && inventory.idleCount === 0) return
    // The connections that are still idle must be pinged first. Whichever is free first (pinged, opened or released) goes to
    // the first waiter. So an idle one is pinged even if a connection is being opened: that may fail.
    let missing = waitQueue.size - inventory.count('checking')
    for (; missing > 0 && inventory.next; missing--) healthCheck.prove(inventory.next, now)
    if (room <= 0) return
    const underWay = inventory.openingCount
    // A lost connection is replaced while the first suspect is pinged, which may never answer.
    missing = Math.max(missing - underWay, underWay === 0 && usability.takeReplacement() ? 1 : 0)
    if (missing <= 0) return
    // One connection is opened on behalf of the last waiter, whose call this mostly is; several are for any waiter.
    const opener = missing === 1 ? waitQueue.last?.context : undefined
    connectScheduler.open(Math.min(missing, room), opener)
  }
}
