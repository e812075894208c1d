import { PoolClosedError } from '../errors.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Inventory } from './inventory.ts'
import type { Retirements } from './retire.ts'
import type { WaitQueue } from './wait-queue.ts'

/** What closing a pool takes. */
export interface ShutdownParts {
  readonly options: Pick<ResolvedOptions, 'closeTimeoutMillis'>
  readonly clock: Clock
  readonly publisher: Publisher
  readonly inventory: Inventory
  readonly departures: Retirements
  readonly line: WaitQueue
  /** How many attempts to open are under way. */
  readonly openings: () => number
  /** Stops whatever would go on by itself. */
  readonly stopChores: () => void
  /** Leaves the questions about lost COMMITs so many milliseconds. */
  readonly hurryInquiries?: ((millis: number) => void) | undefined
}

/** How long goodbyes and questions may take when the time of a draining pool is up, in milliseconds. */
const LONGEST_FAREWELL_MILLIS = 500

/** The end of a pool: whoever was promised a connection gets it, leased ones may come back, and all of it is bounded. */
export class Shutdown {
  readonly #parts: ShutdownParts
  #hasBegun = false
  #hasCutOff = false
  #isOver = false
  /** Why callers are refused; undefined for pg's own words. */
  #reason: string | undefined
  #closed: Promise<void> | undefined

  constructor(parts: ShutdownParts) {
    this.#parts = parts
  }

  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Whether somebody was refused or cut off since the time of a drain was up. */
  get hasCutOff(): boolean {
    return this.#hasCutOff
  }

  /** What a caller is told who comes too late. */
  refusal(): PoolClosedError {
    return new PoolClosedError(this.#reason)
  }

  /** The time of a drain is up: closes all, and leaves nobody any more time. */
  cutOff(millis: number): void {
    if (this.#isOver) return
    const { options, clock, inventory, line, departures, hurryInquiries } = this.#parts
    const reason = `The pool was drained, and its time was up after ${millis} ms`
    this.#hasCutOff ||= line.size > 0 || inventory.count('leased') > 0
    this.#reason = reason
    const farewellMillis = Math.min(options.closeTimeoutMillis, LONGEST_FAREWELL_MILLIS)
    hurryInquiries?.(farewellMillis)
    void this.begin()
    this.#refuseBeyond(0)
    for (const connection of inventory.all()) connection.markLost(new PoolClosedError(reason), 'own')
    clock.schedule(farewellMillis, () => departures.destroyAll(), 'process')
  }

  /** Closes all, for `closeTimeoutMillis` at most. Resolves when all is closed. */
  begin(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** An attempt to open has ended, one way or the other: without another, nobody else will be served. */
  refuseTheRest(): void {
    const { inventory, openings } = this.#parts
    this.#refuseBeyond(inventory.count('checking') + openings())
  }

  /** Nobody waits any more, so nothing that is under way is needed. */
  retireUnneeded(): void {
    const { inventory, line, departures } = this.#parts
    for (const connection of inventory.all()) {
      const isUnderWay = connection.is('opening') || connection.is('checking')
      if (connection.is('idle') || (isUnderWay && !line.first)) departures.retire(connection, 'pool-closed')
    }
  }

  async #close(): Promise<void> {
    const { options, clock, publisher, inventory, departures, stopChores } = this.#parts
    this.#hasBegun = true
    stopChores()
    this.refuseTheRest()
    this.retireUnneeded()
    const cancel = afterPatience(clock, options.closeTimeoutMillis, 'process', () => {
      this.#refuseBeyond(0)
      const why = new PoolClosedError(`Cut off by end() after ${options.closeTimeoutMillis} ms (closeTimeoutMillis)`)
      for (const connection of inventory.all()) connection.markLost(why, 'own', true)
      departures.destroyAll()
    })
    await departures.allClosed()
    cancel()
    this.#refuseBeyond(0) // An attempt that was for somebody may have been dropped.
    this.#isOver = true
    publisher.publish({ type: 'pool-closed' })
  }

  #refuseBeyond(served: number): void {
    const { line } = this.#parts
    line.failLast(line.size - served, () => this.refusal())
  }
}
