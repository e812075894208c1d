import type { Connection } from '../connection/connection.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { inNoContext } from '../runtime/context.ts'
import type { Inventory } from './inventory.ts'
import type { Retirements } from './retire.ts'
import type { Usability } from './trust.ts'

/** What a selection is made from. */
export interface SelectionParts {
  readonly inventory: Inventory
  readonly trust: Usability
  readonly departures: Retirements
  /** Whether the pool is being closed. */
  readonly isClosing: () => boolean
}

/** Which connection may be leased as it is. */
export class Selection {
  readonly #parts: SelectionParts

  constructor(parts: SelectionParts) {
    this.#parts = parts
  }

  /** Takes the idle connection that can be leased without a proof, if there is one. The one whose turn it is decides for all. */
  takeReady(now: number): Connection | undefined {
    const { inventory, trust } = this.#parts
    for (let connection = inventory.next; connection; connection = inventory.next) {
      const flaw = this.flawOf(connection, now)
      if (!flaw) {
        if (trust.proofDue(connection, now)) return undefined
        inventory.takeIdle(connection)
        return connection
      }
      this.#retire(connection, flaw)
    }
    return undefined
  }

  /** It has aged by itself, and not on behalf of the caller. In a function of its own: its closure costs the others nothing. */
  #retire(connection: Connection, flaw: RetireReason): void {
    inNoContext(() => this.#parts.departures.retire(connection, flaw))
  }

  /** Why this connection may not be used again; undefined if it may. */
  flawOf(connection: Connection, now: number): RetireReason | undefined {
    return this.#parts.isClosing() ? 'pool-closed' : this.#parts.trust.flawOf(connection, now)
  }
}
