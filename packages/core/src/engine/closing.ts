import { PoolClosedError } from '../errors.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Departures } from './departures.ts'
import type { Inventory } from './inventory.ts'
import type { Line } from './line.ts'

/** What closing a pool takes. */
export interface ClosingParts {
  readonly options: Pick<ResolvedOptions, 'closeTimeoutMillis'>
  readonly clock: Clock
  readonly publisher: Publisher
  readonly inventory: Inventory
  readonly departures: Departures
  readonly line: Line
  /** How many attempts to open are under way. */
  readonly openings: () => number
  /** Stops whatever would go on by itself. */
  readonly stopChores: () => void
}

/** The end of a pool: whoever was promised a connection gets it, leased ones may come back, and all of it is bounded. */
export class Closing {
  readonly #parts: ClosingParts
  #hasBegun = false
  #closed: Promise<void> | undefined

  constructor(parts: ClosingParts) {
    this.#parts = parts
  }

  get hasBegun(): boolean {
    return this.#hasBegun
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
      for (const connection of inventory.all()) connection.lose(why, 'own')
      departures.destroyAll()
    })
    await departures.allClosed()
    cancel()
    this.#refuseBeyond(0) // An attempt that was for somebody may have been dropped.
    publisher.publish({ type: 'pool-closed' })
  }

  #refuseBeyond(served: number): void {
    const { line } = this.#parts
    line.failLast(line.size - served, () => new PoolClosedError())
  }
}
