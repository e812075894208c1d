import { PoolClosedError } from '../errors.ts'
import { inNoContext } from '../runtime/context.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { ConnectScheduler } from './connect-scheduler.ts'
import type { EngineContext } from './engine-context.ts'
import type { Maintenance } from './maintenance.ts'
import type { Retirement } from './retire.ts'
import type { WaitQueue } from './wait-queue.ts'

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
 * The end of a pool. A waiter for which a connection is on its way gets it, leased connections may be released, and all of
 * it ends within a given time.
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
    const { options, clock, inventory, hurryResolver } = this.#engine
    const { waitQueue, retirement } = this.#parts
    const reason = `The pool was drained, and its time was up after ${millis} ms`
    this.#hasCutOff ||= waitQueue.size > 0 || inventory.count('leased') > 0
    this.#reason = reason
    const closeMillis = Math.min(options.closeTimeoutMillis, LONGEST_CLOSE_AFTER_DRAIN_MILLIS)
    hurryResolver?.(closeMillis)
    void this.begin()
    this.#refuseBeyond(0)
    for (const connection of inventory.all()) connection.markLost(new PoolClosedError(reason), 'own', true)
    clock.schedule(closeMillis, () => retirement.destroyAll(), 'process')
  }

  /** Closes all within `closeTimeoutMillis`. Resolves when all is closed. */
  begin(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Refuses those waiters for which no connection is on its way any more. */
  refuseUnserved(): void {
    this.#refuseBeyond(this.#engine.inventory.count('checking') + this.#parts.connectScheduler.underWay)
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
    cancel()
    this.#refuseBeyond(0) // A connection that was being opened for a waiter may have been dropped.
    this.#isOver = true
    publisher.publish({ type: 'pool-closed' })
  }

  #refuseBeyond(served: number): void {
    const { waitQueue } = this.#parts
    waitQueue.failLast(waitQueue.size - served, () => this.refusal())
  }
}
