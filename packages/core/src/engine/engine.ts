import type { AsyncResource } from 'node:async_hooks'
import type { Connection } from '../connection/connection.ts'
import type { LeaseTerms } from '../connection/lease.ts'
import type { SharedStatement } from '../multiplex/sharers.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { ReadsAgain } from '../rerun/read-again.ts'
import { abortReason } from '../runtime/abort.ts'
import { ConnectScheduler, Outage } from './connect-scheduler.ts'
import { Demand } from './demand.ts'
import type { EngineContext, EngineParts } from './engine-context.ts'
import { HealthCheck } from './health-check.ts'
import { Invalidation } from './invalidation.ts'
import { Inventory } from './inventory.ts'
import { HEARTBEAT_MILLIS, Maintenance } from './maintenance.ts'
import { Opening } from './opening.ts'
import { Placement } from './placement.ts'
import { Release } from './release.ts'
import { Retirement } from './retire.ts'
import { Drain, Shutdown } from './shutdown.ts'
import { Usability } from './usability.ts'
import { WaitQueue } from './wait-queue.ts'
import type { QueueEntry, QueueTerms, Waiter } from './waiter-list.ts'

/**
 * Who gets which connection. `dispatch` is the only place that serves waiters or decides to open connections,
 * `makeAvailable` the only way to become idle, `Retirement` the only way out. Each part knows the engine by the narrow
 * interface `EngineContext`, and those parts that it is given here.
 */
export class Engine implements EngineContext {
  readonly options: EngineParts['options']
  readonly connector: EngineParts['connector']
  readonly clock: EngineParts['clock']
  readonly publisher: EngineParts['publisher']
  readonly interruption: EngineParts['interruption']
  readonly capacity: EngineParts['capacity']
  readonly shortenResolver: EngineParts['shortenResolver']
  readonly inventory: Inventory
  readonly reads: ReadsAgain
  isShuttingDown = false
  readonly #retirement: Retirement
  readonly usability: Usability
  readonly #waitQueue: WaitQueue
  readonly healthCheck: HealthCheck
  readonly #connectScheduler: ConnectScheduler
  readonly #maintenance: Maintenance
  readonly #invalidation: Invalidation
  readonly #opening: Opening
  readonly #demand: Demand
  readonly #release: Release
  readonly #shutdown: Shutdown
  readonly #drain: Drain
  readonly placement: Placement | undefined // Where connections are shared.
  readonly #hasLeaseListener: () => boolean

  constructor(parts: EngineParts) {
    this.options = parts.options
    this.connector = parts.connector
    this.clock = parts.clock
    this.publisher = parts.publisher
    this.interruption = parts.interruption
    this.capacity = parts.capacity
    this.shortenResolver = parts.shortenResolver
    this.inventory = new Inventory(parts.options.lifo)
    this.reads = new ReadsAgain(parts.options.retryReads)
    this.#hasLeaseListener = parts.publisher.hasListener('connection-leased')
    const outage = new Outage(parts.publisher)
    const retirement = new Retirement(this)
    const usability = new Usability(this, retirement)
    const waitQueue = new WaitQueue(this)
    const healthCheck = new HealthCheck(this, usability)
    const connectScheduler = new ConnectScheduler(this, waitQueue)
    const maintenance = new Maintenance(this, { retirement, connectScheduler, healthCheck })
    const invalidation = new Invalidation(this, { retirement, usability, outage, connectScheduler, maintenance })
    this.#retirement = retirement
    this.usability = usability
    this.#waitQueue = waitQueue
    this.placement = Placement.of(this, waitQueue, usability)
    this.healthCheck = healthCheck
    this.#connectScheduler = connectScheduler
    this.#maintenance = maintenance
    this.#invalidation = invalidation
    this.#opening = new Opening(this, { retirement, usability, outage, invalidation })
    this.#demand = new Demand(this, { waitQueue, usability, connectScheduler, opening: this.#opening })
    this.#release = new Release(this, usability, retirement)
    this.#shutdown = new Shutdown(this, { waitQueue, retirement, connectScheduler, maintenance })
    this.#drain = new Drain(this, this.#shutdown)
  }

  get waitingCount(): number {
    return this.#waitQueue.size
  }

  get hasWaiters(): boolean {
    return this.#waitQueue.first !== undefined
  }

  get lastConnectFailure(): unknown {
    return this.#connectScheduler.lastFailure
  }

  isOpeningWanted(): boolean {
    return this.hasWaiters && !this.isShuttingDown
  }

  /** Leases a connection at once, if an idle one needs no ping and no other caller waits. */
  acquireNow(terms: QueueTerms | undefined): Connection | undefined {
    terms?.options?.attempt?.notePublisher(this.publisher)
    if (this.isShuttingDown || this.#waitQueue.first || terms?.options?.signal?.aborted) return undefined
    const now = this.clock.now()
    this.#invalidation.checkProcess(now)
    const ready = this.usability.takeReady(now)
    if (ready) {
      this.publisher.counts.readyAtOnce()
      this.#startLease(ready, terms, now, now)
      this.#publishLeased(ready, 0)
    }
    return ready
  }

  /** Leases a connection: at once if an idle one needs no ping, else in order of arrival. */
  acquire(waiter: Waiter): void {
    const ready = this.acquireNow(waiter)
    if (ready) return waiter.leased(ready)
    if (this.isShuttingDown) return this.#waitQueue.refuse(waiter, this.#shutdown.refusal())
    const signal = waiter.options?.signal
    if (signal?.aborted) return this.#waitQueue.refuse(waiter, abortReason(signal))
    const now = this.clock.now()
    if (this.placement?.placeNow(waiter, now) || !this.#waitQueue.enqueue(waiter, now)) return
    try {
      this.dispatch(now)
    } catch (error) {
      this.#waitQueue.failNewest(waiter, error)
    }
  }

  /**
   * Leases another connection to a waiter whose statement runs again: before all that asked later than `askedAt`. Returns why
   * it can't; undefined if it does.
   */
  reacquire(waiter: Waiter, askedAt: number): string | undefined {
    const now = this.clock.now()
    if (this.isShuttingDown) return 'the pool is closed'
    if (waiter.options?.signal?.aborted) return 'its caller has given up'
    if (!this.#waitQueue.requeue(waiter, askedAt, now)) return 'its caller has no time left'
    this.dispatch(now)
    return undefined
  }

  /** Ends a lease; every lease ends here, that of a `read` with the last one. With `discard` the connection isn't used again. */
  release(connection: Connection, discard?: Error | boolean, read?: SharedStatement): void {
    if (!read || !this.placement?.leave(connection, read)) this.#release.release(connection, discard)
  }

  /** Whether the user's code runs when such a lease ends, or when its statement runs again. */
  runsUserCodeOnRelease(terms: LeaseTerms): boolean {
    return this.#release.runsUserCode(terms) || this.#hasLeaseListener()
  }

  /** Invalidates every connection opened so far: idle ones close now, leased ones when they are released. */
  invalidate(cause?: unknown): void {
    this.#invalidation.invalidateAll(cause)
    this.dispatch(this.clock.now())
  }

  /**
   * Drops every connection opened so far, like `invalidate`, and resolves when the idle ones are closed. Without `close`
   * the server is told nothing, because another process may use the same sockets.
   */
  dispose(close: boolean): Promise<void> {
    this.#invalidation.dispose(close)
    this.dispatch(this.clock.now())
    return this.#retirement.retiredClosed()
  }

  /** Closes all within `closeTimeoutMillis`, and resolves when all is closed: see `Shutdown`. */
  close(): Promise<void> {
    return this.#shutdown.begin()
  }

  /** Serves all callers for `millis` at most, then closes: see `Drain`. */
  drain(millis: number, onTimeUp: (() => void) | undefined): Promise<boolean> {
    return this.#drain.begin(millis, onTimeUp)
  }

  /** See `EngineContext`. A connection that is `free`, and needs no ping, goes straight to the first waiter. */
  dispatch(now: number, free?: Connection): void {
    if (free) this.#serveFirst(free, now)
    else this.#serveOrOpen(now)
    this.placement?.place(now)
  }

  #serveOrOpen(now: number): void {
    while (this.#waitQueue.first) {
      const ready = this.usability.takeReady(now)
      if (!ready) break
      this.#serveFirst(ready, now)
    }
    if (!this.#waitQueue.first) return
    this.#demand.meet(now)
  }

  makeAvailable(connection: Connection, now: number, isProven = false, idleSince: number = now): void {
    const { number } = connection.lease
    try {
      const { hasWaiters, inventory } = this
      const reason = this.usability.whyUnusable(connection, now, hasWaiters)
      if (reason) return this.retireAndDispatch(connection, reason)
      if (hasWaiters && (isProven || !this.usability.proofDue(connection, now))) return this.dispatch(now, connection)
      if (!hasWaiters && inventory.idleCount >= this.options.maxIdle)
        return this.#retirement.retire(connection, 'max-idle')
      connection.becomeIdle(idleSince)
      inventory.addIdle(connection)
      this.#maintenance.runBy(Math.min(idleSince + this.options.idleTimeoutMillis, connection.expiresAt))
      this.dispatch(now)
    } catch (error) {
      this.#retirement.retireAfterError(connection, number, error)
    }
  }

  retireAndDispatch(connection: Connection, reason: RetireReason, cause?: unknown): void {
    this.#retirement.retire(connection, reason, cause)
    this.dispatch(this.clock.now())
  }

  async openConnection(opener: AsyncResource | undefined): Promise<boolean> {
    // Maintenance doesn't run while there is no connection, so the time of its last run tells nothing about the process.
    if (this.inventory.size === 0) this.#invalidation.checkProcess(this.clock.now())
    this.#maintenance.runBy(this.clock.now() + HEARTBEAT_MILLIS)
    const connection = await this.#opening.open(opener)
    if (connection) this.makeAvailable(connection, this.clock.now(), true)
    return connection !== undefined
  }

  onOpeningEnded(): void {
    if (this.isShuttingDown) this.#shutdown.refuseUnserved()
    else this.dispatch(this.clock.now())
  }

  onQueueEmpty(): void {
    this.#connectScheduler.stopRetrying()
    if (this.isShuttingDown) this.#shutdown.onQueueEmpty()
  }

  onHeartbeat(now: number): void {
    this.#invalidation.checkProcess(now)
    this.dispatch(now) // That may have freed slots.
  }

  #serveFirst(connection: Connection, now: number): void {
    const { waiter, since, queuedAt, context } = this.#waitQueue.first as QueueEntry
    this.publisher.counts.served(now - queuedAt)
    // The lease begins before the waiter leaves: a pool that shuts down retires what is under way when the queue is empty.
    // The waiter is told afterwards, because a listener may change the queue.
    this.#startLease(connection, waiter, now, since)
    this.#waitQueue.shift(now)
    context.runInAsyncScope(() => {
      this.#publishLeased(connection, now - since)
      waiter.leased(connection)
    })
  }

  #startLease(connection: Connection, terms: QueueTerms | undefined, now: number, askedAt: number): void {
    connection.startLease(now, terms, askedAt)
    this.placement?.begin(connection, terms)
    this.#maintenance.runBy(now + this.options.leakDetectionMillis)
  }

  #publishLeased(connection: Connection, waitedMillis: number): void {
    if (!this.#hasLeaseListener()) return
    connection.lease.isListenedTo = true
    this.publisher.publish({ type: 'connection-leased', connection, waitedMillis })
  }
}
