import { clean } from '../connection/clean.ts'
import type { Connection, LossReach } from '../connection/connection.ts'
import type { Connector } from '../connection/connector.ts'
import { ConnectError, type Loss, noAnswer, PoolClosedError, PoolTimeoutError } from '../errors.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import { resetAction } from '../policy/reset.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { Publisher } from '../telemetry/events.ts'
import { Departures } from './departures.ts'
import { Inventory } from './inventory.ts'
import { Opening } from './opening.ts'
import { Supply } from './supply.ts'
import { Trust } from './trust.ts'
import { HEARTBEAT_MILLIS, Upkeep } from './upkeep.ts'
import { Waiter, Waiters } from './waiters.ts'

/** Who wants a connection. Exactly one of the two is called, once; `leased` possibly before `acquire` returns. */
export interface Caller {
  leased(connection: Connection): void
  failed(error: Error): void
}

/** What the engine is built from. */
export interface EngineParts {
  readonly options: ResolvedOptions
  readonly connector: Pick<Connector, 'make' | 'establish'>
  readonly clock: Clock
  readonly publisher: Publisher
  /** Whether the process stood still since the last time this was asked. */
  readonly stoodStill: () => boolean
}

/**
 * Who gets which connection. The one orchestrator: `#dispatch` alone serves waiters and decides to open,
 * `#makeAvailable` is the only door into idle, `Departures` the only way out.
 */
export class Engine {
  readonly #options: ResolvedOptions
  readonly #parts: EngineParts
  readonly #waiters = new Waiters<Caller>()
  readonly #inventory = new Inventory()
  readonly #departures: Departures
  readonly #opening: Opening
  readonly #supply: Supply
  readonly #upkeep: Upkeep
  readonly #trust: Trust
  #isClosing = false
  #closed: Promise<void> | undefined

  constructor(parts: EngineParts) {
    const { options, clock } = parts
    this.#parts = parts
    this.#options = options
    this.#departures = new Departures(this.#inventory, parts.publisher, options.closeTimeoutMillis)
    this.#trust = new Trust(options)
    this.#opening = new Opening({
      ...parts,
      inventory: this.#inventory,
      departures: this.#departures,
      trust: this.#trust,
      onLost: (connection, loss, reach) => this.#lost(connection, loss, reach),
    })
    this.#supply = new Supply({
      max: options.max,
      connectRetry: options.connectRetry,
      openOne: () => this.#open(),
      isWanted: () => this.#waiters.size > 0,
      onFailed: (error, whom) => this.#fail(error, whom),
      onPace: () => this.#dispatch(),
    })
    this.#upkeep = new Upkeep({
      clock,
      inventory: this.#inventory,
      min: options.min,
      idleTimeoutMillis: options.idleTimeoutMillis,
      retire: (connection, reason) => this.#departures.retire(connection, reason),
      refill: (count) => this.#supply.open(Math.min(count, options.max - this.#inventory.size)),
      onHeartbeat: () => this.#guard(),
    })
  }

  get inventory(): Pick<Inventory, 'size' | 'idleCount'> {
    return this.#inventory
  }

  get waitingCount(): number {
    return this.#waiters.size
  }

  /** How many leased ones will be retired for their age when they come back. */
  get expiredCount(): number {
    const now = this.#parts.clock.now()
    return this.#inventory.all().filter((connection) => connection.is('leased') && connection.expiresAt <= now).length
  }

  /** Leases a connection to the caller: at once if a fresh one lies idle, else in order of arrival. */
  acquire(caller: Caller): void {
    if (this.#isClosing) return caller.failed(new PoolClosedError())
    this.#guard()
    const ready = this.#waiters.size === 0 ? this.#takeReady() : undefined
    if (ready) return this.#lease(ready, caller)
    const { clock } = this.#parts
    const waiter = new Waiter(caller, clock.now())
    waiter.cancelDeadline = afterPatience(clock, this.#options.connectionTimeoutMillis, 'process', () =>
      this.#timeOut(waiter),
    )
    this.#waiters.join(waiter)
    this.#dispatch()
  }

  /** Takes a connection back from its borrower, who may ask never to see it again. Cannot fail. */
  takeBack(connection: Connection, discard?: Error | boolean): void {
    const now = this.#parts.clock.now()
    const heldMillis = now - connection.leasedAt
    this.#parts.publisher.publish({ type: 'connection-released', connection, heldMillis, discard })
    if (!connection.is('leased')) return // Died meanwhile: already retired, its slot is long free.
    if (discard) return this.#retireAndServe(connection, 'discarded', discard)
    // A goodbye rolls back as well as a ROLLBACK would; only `commit` has something left to do on the old session.
    const flaw = this.#flawOf(connection)
    if (flaw && this.#options.resetOnReturn !== 'commit') return this.#retireAndServe(connection, flaw)
    if (this.#isClean(connection)) this.#makeAvailable(connection)
    else void this.#reset(connection)
  }

  /** Condemns every connection opened so far: idle ones close now, leased ones when they come back. */
  invalidate(cause?: unknown): void {
    this.#condemnAll(cause)
    this.#dispatch()
  }

  /** Closes all, for `closeTimeoutMillis` at most; leased ones get that time to come back. Resolves when all is closed. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    this.#isClosing = true
    this.#upkeep.stop()
    this.#supply.stopProbing()
    for (let waiter = this.#waiters.shift(); waiter; waiter = this.#waiters.shift())
      waiter.caller.failed(new PoolClosedError())
    for (const connection of this.#inventory.all()) {
      if (connection.is('idle', 'checking', 'opening')) this.#departures.retire(connection, 'pool-closed')
    }
    const cancel = afterPatience(this.#parts.clock, this.#options.closeTimeoutMillis, 'process', () => {
      for (const connection of this.#inventory.all()) connection.lose(new PoolClosedError(), 'own')
      this.#departures.destroyAll()
    })
    await this.#departures.allClosed()
    cancel()
  }

  #dispatch(): void {
    while (this.#waiters.first) {
      const ready = this.#takeReady()
      if (!ready) break
      this.#serveFirst(ready)
    }
    let missing = this.#waiters.size - this.#inventory.count('checking') - this.#inventory.count('opening')
    // What is left idle must prove itself first. Whoever comes first, proven, opened or returned, serves the first.
    for (; missing > 0 && this.#inventory.freshest; missing--)
      void this.#check(this.#inventory.takeFreshest() as Connection)
    const room = this.#options.max - this.#inventory.size
    if (missing > 0 && room > 0) this.#supply.open(Math.min(missing, room))
  }

  /** The idle connection that can be lent without a ping, if there is one. The freshest decides for all. */
  #takeReady(): Connection | undefined {
    for (let connection = this.#inventory.freshest; connection; connection = this.#inventory.freshest) {
      const flaw = this.#flawOf(connection)
      if (!flaw) {
        const needsProof = this.#trust.mustPing(connection, this.#parts.clock.now())
        return needsProof ? undefined : this.#inventory.takeFreshest()
      }
      this.#departures.retire(connection, flaw)
    }
    return undefined
  }

  #serveFirst(connection: Connection): void {
    const waiter = this.#waiters.shift()
    if (!waiter) throw new Error('BUG: a connection was to be leased to nobody')
    if (this.#waiters.size === 0) this.#supply.stopProbing()
    this.#lease(connection, waiter.caller)
  }

  #lease(connection: Connection, caller: Caller): void {
    connection.lend(this.#parts.clock.now())
    this.#parts.publisher.publish({ type: 'connection-leased', connection })
    caller.leased(connection)
  }

  /** Back to the idle ones, or straight on to the first waiter if it just proved itself alive. */
  #makeAvailable(connection: Connection, isProven = false): void {
    const flaw = this.#flawOf(connection)
    if (flaw) return this.#retireAndServe(connection, flaw)
    if (isProven && this.#waiters.first) return this.#serveFirst(connection)
    connection.rest(this.#parts.clock.now())
    this.#inventory.addIdle(connection)
    this.#upkeep.lookWithin(Math.min(this.#options.idleTimeoutMillis, connection.expiresAt - connection.idleSince))
    this.#dispatch()
  }

  async #check(connection: Connection): Promise<void> {
    connection.move('checking')
    if (this.#options.prePing) await connection.ping(this.#options.prePing.timeoutMillis)
    if (!connection.is('checking')) return // Lost or invalidated meanwhile: already retired.
    this.#trust.proved()
    this.#makeAvailable(connection, true)
  }

  #isClean(connection: Connection): boolean {
    return connection.inSync && resetAction(this.#options.resetOnReturn, connection.transactionStatus) === 'keep'
  }

  async #reset(connection: Connection): Promise<void> {
    connection.move('resetting')
    const stain = await clean(connection, this.#options.resetOnReturn, this.#options.closeTimeoutMillis)
    if (!connection.is('resetting')) return // Lost meanwhile: already retired.
    if (stain) this.#retireAndServe(connection, 'reset-failed', stain.cause)
    else this.#makeAvailable(connection)
  }

  async #open(): Promise<void> {
    const connection = await this.#opening.open()
    if (!connection) return
    this.#upkeep.lookWithin(HEARTBEAT_MILLIS)
    this.#makeAvailable(connection, true)
  }

  #lost(connection: Connection, loss: Loss, reach: LossReach): void {
    const wasChecking = connection.is('checking')
    const wasLeased = connection.is('leased')
    this.#departures.retire(connection, 'lost', loss.cause)
    if (reach === 'suspect') this.#suspectAll()
    if (this.#trust.isLostBy(connection, reach, wasChecking)) this.#condemnAll(loss.cause)
    // Told last: a listener may acquire, and must not be given what has just been condemned.
    this.#parts.publisher.publish({ type: 'connection-lost', connection, loss, wasLeased })
    this.#dispatch()
  }

  #condemnAll(cause: unknown): void {
    const generation = this.#trust.renew()
    this.#supply.slowDown()
    for (const connection of this.#inventory.all()) {
      if (connection.is('idle', 'checking')) this.#departures.retire(connection, 'stale', cause)
    }
    this.#parts.publisher.publish({ type: 'pool-invalidated', generation, cause })
  }

  #retireAndServe(connection: Connection, reason: RetireReason, cause?: unknown): void {
    this.#departures.retire(connection, reason, cause)
    this.#dispatch()
  }

  #flawOf(connection: Connection): RetireReason | undefined {
    if (this.#isClosing) return 'pool-closed'
    return this.#trust.flawOf(connection, this.#parts.clock.now())
  }

  #guard(): void {
    if (this.#parts.stoodStill()) this.#suspectAll()
  }

  #suspectAll(): void {
    for (const connection of this.#inventory.all()) connection.signs.doubt()
  }

  #fail(error: Error, whom: 'everybody' | 'first'): void {
    const count = whom === 'everybody' ? this.#waiters.size : 1
    // Each gets an error of his own, with his own stack.
    const copy = (): Error => (error instanceof ConnectError ? new ConnectError(error.endpoint, error.cause) : error)
    for (let told = 0; told < count; told++) this.#waiters.shift()?.caller.failed(copy())
  }

  #timeOut(waiter: Waiter<Caller>): void {
    this.#waiters.leave(waiter)
    if (this.#waiters.size === 0) this.#supply.stopProbing()
    const now = this.#parts.clock.now()
    const details = {
      ...this.#inventory.occupancy(now),
      max: this.#options.max,
      waiting: this.#waiters.size,
      waitedMillis: now - waiter.since,
    }
    waiter.caller.failed(new PoolTimeoutError(details, this.#supply.lastFailure ?? this.#openingInVain(now)))
  }

  /** There was room, so whoever waited in vain waited for a server that doesn't answer. */
  #openingInVain(now: number): ConnectError | undefined {
    const opening = this.#inventory.longestOpening()
    return opening && new ConnectError(opening.endpoint, noAnswer(now - opening.startedAt))
  }
}
