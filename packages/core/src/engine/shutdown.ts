import { PoolClosedError } from '../errors.ts'
import { afterPatience, type Cancel, pause } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import type { ConnectScheduler } from './connect-scheduler.ts'
import type { EngineContext } from './engine-context.ts'
import type { Maintenance } from './maintenance.ts'
import type { Retirement } from './retire.ts'
import type { WaitQueue } from './wait-queue.ts'

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
    while (!shutdown.hasCutOff && !this.#isQuiet() && clock.now() < until) await pause(clock, CHECK_MILLIS, 'process')
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

/** What a shutdown uses. */
export interface ShutdownParts {
  readonly waitQueue: WaitQueue
  readonly retirement: Retirement
  readonly connectScheduler: ConnectScheduler
  readonly maintenance: Maintenance
}

/** How long closing and resolving may take when the time of a draining pool is up, in milliseconds. */
const LONGEST_CLOSE_AFTER_DRAIN_MILLIS = 500

/**
 * The end of a pool. Those that wait already are served as connections are released or opened, leased connections may be
 * released, and all of it ends within a given time.
 */
export class Shutdown {
  readonly #engine: EngineContext
  readonly #parts: ShutdownParts
  #hasCutOff = false
  #isOver = false
  /** Why waiters are refused; undefined for pg's own words. */
  #reason: string | undefined
  #closed: Promise<void> | undefined

  constructor(engine: EngineContext, parts: ShutdownParts) {
    this.#engine = engine
    this.#parts = parts
  }

  /** Whether the end of a drain's time has refused a waiter, or cut off a lease. */
  get hasCutOff(): boolean {
    return this.#hasCutOff
  }

  /** What a waiter is told that comes too late. */
  refusal(): PoolClosedError {
    return new PoolClosedError(this.#reason)
  }

  /** The time of a drain is up: closes all at once. */
  cutOff(millis: number): void {
    if (this.#isOver) return
    const { options, clock, inventory, shortenResolver } = this.#engine
    const { waitQueue, retirement } = this.#parts
    const reason = `The pool was drained, and its time was up after ${millis} ms`
    this.#hasCutOff ||= waitQueue.size > 0 || inventory.count('leased') > 0
    this.#reason = reason
    const closeMillis = Math.min(options.closeTimeoutMillis, LONGEST_CLOSE_AFTER_DRAIN_MILLIS)
    shortenResolver?.(closeMillis)
    void this.begin()
    this.#refuseBeyond(0)
    for (const connection of inventory.all()) connection.markLost(new PoolClosedError(reason), 'own', true)
    clock.schedule(closeMillis, () => retirement.destroyAll(), 'process')
  }

  /**
   * Closes all within `closeTimeoutMillis`. Leased connections get that time to be released, and waiters to be served.
   * Resolves when all is closed.
   */
  begin(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Refuses the waiters if no connection is there, or on its way. One that is released serves the next waiter. */
  refuseUnserved(): void {
    if (this.#engine.inventory.size + this.#parts.connectScheduler.underWay === 0) this.#refuseBeyond(0)
  }

  /** The last waiter has left, so that what is being opened or pinged isn't needed. */
  onQueueEmpty(): void {
    inNoContext(() => this.#retireUnneeded())
  }

  #retireUnneeded(): void {
    const { waitQueue, retirement } = this.#parts
    for (const connection of this.#engine.inventory.all()) {
      const isUnderWay = connection.is('opening') || connection.is('checking')
      if (connection.is('idle') || (isUnderWay && !waitQueue.first)) retirement.retire(connection, 'pool-closed')
    }
  }

  async #close(): Promise<void> {
    const { options, clock, publisher, inventory } = this.#engine
    const { retirement, connectScheduler, maintenance } = this.#parts
    this.#engine.isShuttingDown = true
    maintenance.stop()
    connectScheduler.stopRetrying()
    this.refuseUnserved()
    this.#retireUnneeded()
    const cancel = afterPatience(clock, options.closeTimeoutMillis, 'process', () => {
      this.#refuseBeyond(0)
      const why = new PoolClosedError(`Cut off by end() after ${options.closeTimeoutMillis} ms (closeTimeoutMillis)`)
      for (const connection of inventory.all()) connection.markLost(why, 'own', true)
      retirement.destroyAll()
    })
    await retirement.allClosed()
    // One that was opened instead of a closed one may not have its slot so far.
    while (this.#engine.hasWaiters && connectScheduler.underWay > 0) {
      await new Promise<void>((resolve) => clock.afterPendingInput(resolve))
      await retirement.allClosed()
    }
    cancel()
    this.#refuseBeyond(0) // A connection that was being opened for a waiter may have been dropped.
    await this.#engine.capacity?.budget?.close()
    this.#isOver = true
    publisher.publish({ type: 'pool-closed' })
  }

  #refuseBeyond(served: number): void {
    const { waitQueue } = this.#parts
    waitQueue.failLast(waitQueue.size - served, () => this.refusal())
  }
}
