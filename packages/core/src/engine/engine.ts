import type { AsyncResource } from 'node:async_hooks'
import type { Connection } from '../connection/connection.ts'
import type { Connector } from '../connection/connector.ts'
import type { LeaseTerms } from '../connection/lease.ts'
import { copyOf } from '../errors.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { abortReason } from '../runtime/abort-reason.ts'
import type { Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import type { Interruption, Publisher } from '../telemetry/events.ts'
import type { Caller } from './caller.ts'
import { ConnectScheduler } from './connect-scheduler.ts'
import { isStill, lookForDeadlock } from './deadlock.ts'
import { Drain } from './drain.ts'
import { HealthCheck } from './health-check.ts'
import { Invalidation } from './invalidation.ts'
import { Inventory } from './inventory.ts'
import { HEARTBEAT_MILLIS, Maintenance } from './maintenance.ts'
import { Opening } from './opening.ts'
import { Outage } from './outage.ts'
import { Release } from './release.ts'
import { Retirements } from './retire.ts'
import { Selection } from './selection.ts'
import { Shutdown } from './shutdown.ts'
import { timeoutError } from './timeout-error.ts'
import { Usability } from './trust.ts'
import { WaitQueue } from './wait-queue.ts'
import type { Waiter } from './waiter-list.ts'

/** What the engine is built from. */
export interface EngineParts {
  readonly options: ResolvedOptions
  readonly connector: Pick<Connector, 'make' | 'logIn' | 'prove' | 'runHooks' | 'replayHook'>
  readonly clock: Clock
  readonly publisher: Publisher
  /** Whether the process stood still, or became another one, since the last time this was asked. */
  readonly interruption: (now: number) => Interruption | undefined
  /** Asks the server, once and in the background, what the pool should know of it. */
  readonly examine?: ((connection: Connection) => Promise<void>) | undefined
  /** Leaves the questions about lost COMMITs so many milliseconds. */
  readonly hurryInquiries?: ((millis: number) => void) | undefined
}

/**
 * Who gets which connection. The one orchestrator: `#dispatch` decides what is done for those who wait, `#makeAvailable`
 * is the only door into idle, `Departures` the only way out.
 */
export class Engine {
  /** Where it is told what happens. */
  readonly publisher: Publisher
  readonly #options: ResolvedOptions
  readonly #parts: EngineParts
  readonly #inventory: Inventory
  readonly #line: WaitQueue
  readonly #departures: Retirements
  readonly #returns: Release
  readonly #checkups: HealthCheck
  readonly #opening: Opening
  readonly #supply: ConnectScheduler
  readonly #upkeep: Maintenance
  readonly #trust: Usability
  readonly #selection: Selection
  readonly #distrust: Invalidation
  readonly #closing: Shutdown
  readonly #drainage: Drain
  readonly #isLeaseHeard: () => boolean

  constructor(given: EngineParts) {
    const { options, clock, publisher } = given
    const inventory = new Inventory(options.lifo)
    const departures = new Retirements(inventory, publisher, options.closeTimeoutMillis)
    const trust = new Usability(options, clock)
    const parts = { ...given, inventory, departures, trust, outage: new Outage(publisher) }
    const isWanted = (): boolean => this.#line.size > 0 && !this.#closing.hasBegun
    this.#parts = parts
    this.publisher = publisher
    this.#options = options
    this.#isLeaseHeard = publisher.isHeard('connection-leased')
    this.#inventory = inventory
    this.#departures = departures
    this.#trust = trust
    this.#selection = new Selection({ ...parts, isClosing: () => this.#closing.hasBegun })
    this.#line = new WaitQueue({
      ...parts,
      lookForDeadlock: () => lookForDeadlock({ inventory, first: () => this.#line.first, max: options.max }),
      isStill: (now) => isStill(inventory, now),
      timeoutError: (waitedMillis, now) => {
        const { lastFailure } = this.#supply
        return timeoutError({ inventory, max: options.max, waiting: this.#line.size, waitedMillis, lastFailure }, now)
      },
      spare: () => options.max - this.#inventory.count('leased') - this.#inventory.count('resetting'),
      onEmpty: () => {
        this.#supply.stopProbing()
        if (this.#closing.hasBegun) inNoContext(() => this.#closing.retireUnneeded())
      },
    })
    this.#returns = new Release({
      ...parts,
      flawOf: (connection, now) => this.#selection.flawOf(connection, now),
      retire: (connection, reason, cause) => this.#retireAndServe(connection, reason, cause),
      makeAvailable: (connection, now) => this.#makeAvailable(connection, now),
    })
    this.#distrust = new Invalidation({
      ...parts,
      slowDown: () => this.#supply.slowDown(),
      restartTimers: () => this.#upkeep.restart(),
    })
    this.#checkups = new HealthCheck({
      ...parts,
      makeAvailable: (connection, now, idleSince) =>
        departures.carefully(connection, () => this.#makeAvailable(connection, now, true, idleSince)),
    })
    this.#closing = new Shutdown({
      ...parts,
      line: this.#line,
      openings: () => this.#supply.underWay,
      stopChores: () => {
        this.#upkeep.stop()
        this.#supply.stopProbing()
      },
    })
    this.#drainage = new Drain({ ...parts, line: this.#line, closing: this.#closing })
    this.#opening = new Opening({
      ...parts,
      isWanted,
      onServerAway: () => this.#distrust.serverIsAway(),
      onLost: (connection, loss, reach) => {
        this.#distrust.lost(connection, loss, reach)
        this.#dispatch(clock.now())
      },
      onReleased: (connection, discard) => this.release(connection, discard),
    })
    this.#supply = new ConnectScheduler({
      max: options.max,
      connectRetry: options.connectRetry,
      openOne: (opener) => this.#open(opener),
      hasRoom: () => this.#inventory.size < options.max,
      isWanted,
      onFailed: (error, whom) => this.#line.failFirst(whom === 'everybody' ? this.#line.size : 1, () => copyOf(error)),
      onPace: () => (this.#closing.hasBegun ? this.#closing.refuseTheRest() : this.#dispatch(clock.now())),
    })
    this.#upkeep = new Maintenance({
      clock,
      publisher,
      inventory: this.#inventory,
      options,
      retire: (connection, reason) => this.#departures.retire(connection, reason),
      refill: (count) => this.#supply.open(Math.min(count, options.max - this.#inventory.size)),
      ping: (connection) => void this.#checkups.ping(connection),
      examine: parts.examine && ((connection) => void this.#checkups.examine(connection)),
      onHeartbeat: (now) => {
        this.#distrust.guard(now)
        this.#dispatch(now) // Slots may have become free by it.
      },
    })
  }

  get inventory(): Pick<Inventory, 'size' | 'idleCount' | 'expiredCount' | 'all' | 'asides' | 'occupancy'> {
    return this.#inventory
  }

  get waitingCount(): number {
    return this.#line.size
  }

  /** Leases a connection at once, if one lies idle that needs no proof and nobody waits. */
  acquireNow(terms: LeaseTerms | undefined): Connection | undefined {
    terms?.options?.attempt?.acquiresFrom(this.publisher)
    if (this.#closing.hasBegun || this.#line.first || terms?.options?.signal?.aborted) return undefined
    const now = this.#parts.clock.now()
    this.#distrust.guard(now)
    const ready = this.#selection.takeReady(now)
    if (ready) {
      this.#grant(ready, terms, now)
      this.#tellLeased(ready, 0)
    }
    return ready
  }

  /** Leases a connection to the caller: at once if a fresh one lies idle, else in order of arrival. */
  acquire(caller: Caller): void {
    const ready = this.acquireNow(caller)
    if (ready) return caller.leased(ready)
    if (this.#closing.hasBegun) return this.#line.refuse(caller, this.#closing.refusal())
    const signal = caller.options?.signal
    if (signal?.aborted) return this.#line.refuse(caller, abortReason(signal))
    const now = this.#parts.clock.now()
    if (this.#line.join(caller, now)) this.#line.carefully(caller, () => this.#dispatch(now))
  }

  /** Leases a connection, in front of all who came later, to one whose statement never ran; false if it is too late. */
  reacquire(caller: Caller, askedAt: number): boolean {
    const now = this.#parts.clock.now()
    if (this.#closing.hasBegun || !this.#line.rejoin(caller, askedAt, now)) return false
    this.#dispatch(now)
    return true
  }

  /** Takes a connection back when its lease ends; its caller may ask never to see it again. Cannot fail. */
  release(connection: Connection, discard?: Error | boolean): void {
    this.#returns.take(connection, discard)
  }

  /** Whether code of the user's runs when the connection of such a lease comes back, and the statement runs again. */
  hasReleaseListeners(terms: LeaseTerms): boolean {
    return this.#returns.isHeard(terms) || this.#isLeaseHeard()
  }

  /** Condemns every connection opened so far: idle ones close now, leased ones when they come back. */
  invalidate(cause?: unknown): void {
    this.#distrust.condemnAll(cause)
    this.#dispatch(this.#parts.clock.now())
  }

  /**
   * Lets go of every connection opened so far, like `invalidate`, and resolves when the idle ones are closed. Without
   * `close` nothing is said to the server: the sockets may be another process's as well.
   */
  dispose(close: boolean): Promise<void> {
    this.#distrust.dispose(close, this.#line.first !== undefined)
    this.#dispatch(this.#parts.clock.now())
    return this.#departures.closingClosed()
  }

  /**
   * Closes all, for `closeTimeoutMillis` at most: leased ones get that time to come back, and whoever waits for a
   * connection that is on its way gets it yet. Resolves when all is closed.
   */
  close(): Promise<void> {
    return this.#closing.begin()
  }

  /** Serves everybody for `millis` at most, then closes: see `Drainage`. */
  drain(millis: number, onTimeUp: (() => void) | undefined): Promise<boolean> {
    return this.#drainage.begin(millis, onTimeUp)
  }

  #dispatch(now: number): void {
    while (this.#line.first) {
      const ready = this.#selection.takeReady(now)
      if (!ready) break
      this.#serveFirst(ready, now)
    }
    if (!this.#line.first) return
    this.#opening.hurry()
    const room = this.#options.max - this.#inventory.size
    if (room <= 0 && this.#inventory.idleCount === 0) return
    // What is left idle must prove itself first. Whoever comes first, proven, opened or released, serves the first; so it
    // is asked also for those for whom a connection is being opened, which may never come.
    let missing = this.#line.size - this.#inventory.count('checking')
    for (; missing > 0 && this.#inventory.next; missing--) this.#checkups.prove(this.#inventory.next, now)
    missing -= this.#inventory.count('opening')
    if (missing <= 0 || room <= 0) return
    // One is for the last in line alone, in whose call this mostly is; several are for whoever comes first.
    const opener = missing === 1 ? this.#line.last?.context : undefined
    this.#supply.open(Math.min(missing, room), opener)
  }

  #serveFirst(connection: Connection, now: number): void {
    const { caller, since, context } = this.#line.first as Waiter<Caller>
    // Granted before the line is empty: what is on its way for nobody is retired when the pool closes. Told after it: a
    // listener may do what moves the line.
    this.#grant(connection, caller, now, since)
    this.#line.shift()
    context.runInAsyncScope(() => {
      this.#tellLeased(connection, now - since)
      caller.leased(connection)
    })
  }

  #grant(connection: Connection, terms: LeaseTerms | undefined, now: number, askedAt = now): void {
    connection.startLease(now, terms, askedAt)
    this.#upkeep.lookBy(now + this.#options.leakDetectionMillis)
  }

  #tellLeased(connection: Connection, waitedMillis: number): void {
    if (this.#isLeaseHeard()) this.publisher.publish({ type: 'connection-leased', connection, waitedMillis })
  }

  /** Straight on to the first waiter if it owes no proof, else back to the idle ones. */
  #makeAvailable(connection: Connection, now: number, isProven = false, idleSince = now): void {
    const flaw = this.#line.first ? this.#trust.flawOf(connection, now) : this.#selection.flawOf(connection, now)
    if (flaw) return this.#retireAndServe(connection, flaw)
    if (this.#line.first) {
      if (isProven || !this.#trust.proofDue(connection, now)) return this.#serveFirst(connection, now)
    } else if (this.#inventory.idleCount >= this.#options.maxIdle) {
      return this.#departures.retire(connection, 'max-idle')
    }
    connection.becomeIdle(idleSince)
    this.#inventory.addIdle(connection)
    this.#upkeep.lookBy(Math.min(idleSince + this.#options.idleTimeoutMillis, connection.expiresAt))
    this.#dispatch(now)
  }

  async #open(opener: AsyncResource | undefined): Promise<boolean> {
    const { clock } = this.#parts
    // Where nothing is open, upkeep sleeps: how long ago its last look was tells nothing of the process.
    if (this.#inventory.size === 0) this.#distrust.guard(clock.now())
    this.#upkeep.lookBy(clock.now() + HEARTBEAT_MILLIS)
    const connection = await this.#opening.open(opener)
    if (connection) this.#departures.carefully(connection, () => this.#makeAvailable(connection, clock.now(), true))
    return connection !== undefined
  }

  #retireAndServe(connection: Connection, reason: RetireReason, cause?: unknown): void {
    this.#departures.retire(connection, reason, cause)
    this.#dispatch(this.#parts.clock.now())
  }
}
