import type { Connection } from '../connection/connection.ts'
import type { SharedStatement, Sharers } from '../multiplex/sharers.ts'
import { Sharing } from '../multiplex/sharing.ts'
import type { EngineContext } from './engine-context.ts'
import type { Usability } from './usability.ts'
import type { WaitQueue } from './wait-queue.ts'
import type { QueueEntry, QueueTerms, Waiter } from './waiter-list.ts'

/**
 * Places plain reads (and writes, by `pipelineWrites`) behind others when all connections are in use, in order of arrival. A waiter that needs a connection for
 * itself claims one instead, when its turn comes: a shared one drains for it. It is served before all statements behind it that need
 * a connection of their own, and they don't wait for it where others are shared.
 */
export class Placement {
  readonly #engine: EngineContext
  readonly #waitQueue: WaitQueue
  readonly #sharing: Sharing
  readonly #hasLeaseListener: () => boolean
  readonly #hasReleaseListener: () => boolean

  private constructor(engine: EngineContext, waitQueue: WaitQueue, usability: Usability) {
    const { clock, publisher, options } = engine
    this.#engine = engine
    this.#waitQueue = waitQueue
    this.#sharing = new Sharing({
      clock,
      maxPipeline: options.maxPipeline,
      pipelineWrites: options.pipelineWrites,
      isUsable: (connection, now) => usability.whyUnusable(connection, now) === undefined,
    })
    this.#hasLeaseListener = publisher.hasListener('connection-leased')
    this.#hasReleaseListener = publisher.hasListener('connection-released')
  }

  /** Undefined where no connection is shared. */
  static of(engine: EngineContext, waitQueue: WaitQueue, usability: Usability): Placement | undefined {
    const { maxPipeline, resetOnReturn, retryReads } = engine.options
    const isCheap = resetOnReturn === 'rollback' || resetOnReturn === 'none'
    const isOn = maxPipeline > 1 && retryReads && isCheap && engine.connector.mayPipeline
    return isOn ? new Placement(engine, waitQueue, usability) : undefined
  }

  /** A connection was leased: if it is to a statement that shares, others may follow that. */
  begin(connection: Connection, terms: QueueTerms | undefined): void {
    const statement = terms?.sharedStatement
    if (statement) this.#sharing.begin(connection, statement)
  }

  /** A statement has ended. Returns whether the lease of its connection goes on: then others may follow. */
  leave(connection: Connection, statement: SharedStatement): boolean {
    const { clock, publisher } = this.#engine
    const now = clock.now()
    const { since } = connection.lease
    if (!this.#sharing.leave(connection, statement, now)) return false
    publisher.counts.useMillis += connection.lease.since - since
    this.place(now)
    return true
  }

  /** Places a statement that has just come, if no other waits. */
  placeNow({ sharedStatement }: Waiter, now: number): boolean {
    if (!sharedStatement || !this.#mayShare() || this.#firstWithoutClaim() || !this.#sharing.mayFollow(sharedStatement))
      return false
    this.#drainFor(this.#countClaims())
    const sharers = this.#sharing.room(sharedStatement, now)
    if (!sharers) return false
    const { counts } = this.#engine.publisher
    counts.readyAtOnce()
    counts.multiplexed++
    this.#sharing.follow(sharers, sharedStatement, now)
    return true
  }

  /** Places what waits, as far as there is room. */
  place(now: number): void {
    if (!this.#waitQueue.first || !this.#sharing.isSharing || !this.#mayShare()) return
    let claims = this.#countClaims()
    this.#drainFor(claims)
    for (let entry = this.#firstWithoutClaim(); entry; entry = this.#firstWithoutClaim()) {
      const { sharedStatement } = entry.waiter
      if (sharedStatement && this.#sharing.mayFollow(sharedStatement)) {
        const sharers = this.#sharing.room(sharedStatement, now)
        if (!sharers) break
        this.#send(entry, sharers, sharedStatement, now)
      } else {
        if (claims >= this.#sharing.count + this.#underWay()) break
        entry.hasClaim = true
        claims++
        this.#drainFor(claims)
      }
    }
  }

  #send(entry: QueueEntry, sharers: Sharers, statement: SharedStatement, now: number): void {
    const { counts } = this.#engine.publisher
    counts.served(now - entry.queuedAt)
    counts.multiplexed++
    this.#waitQueue.take(entry)
    entry.context.runInAsyncScope(() => this.#sharing.follow(sharers, statement, entry.since))
  }

  #drainFor(claims: number): void {
    this.#sharing.drain(claims === 0 ? 0 : Math.max(0, claims - this.#underWay()))
  }

  /** New connections are better than shared ones. Listeners have to see each lease. */
  #mayShare(): boolean {
    const { inventory, options, isShuttingDown } = this.#engine
    if (isShuttingDown || inventory.size < options.max || inventory.idleCount > 0) return false
    return !this.#hasLeaseListener() && !this.#hasReleaseListener()
  }

  #firstWithoutClaim(): QueueEntry | undefined {
    let entry = this.#waitQueue.first
    while (entry?.hasClaim) entry = entry.next
    return entry
  }

  #countClaims(): number {
    let count = 0
    for (let entry = this.#waitQueue.first; entry?.hasClaim; entry = entry.next) count++
    return count
  }

  /** So many connections will be free for one waiter each. */
  #underWay(): number {
    const { inventory } = this.#engine
    return inventory.count('opening') + inventory.count('checking') + inventory.count('resetting')
  }
}
