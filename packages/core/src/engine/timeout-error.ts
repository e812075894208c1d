import { ConnectError, noAnswer, PoolTimeoutError } from '../errors.ts'
import type { Inventory } from './inventory.ts'

/** What there is to say about a pool in which somebody waited in vain. */
export interface TimeoutFacts {
  readonly inventory: Inventory
  readonly max: number
  /** Others in line. */
  readonly waiting: number
  readonly waitedMillis: number
  /** Why the last attempt to open a connection failed; undefined once one has succeeded. */
  readonly lastFailure: unknown
}

/** What to tell somebody whose deadline has passed: who has what, and whether the server is to blame. */
export function timeoutError(facts: TimeoutFacts, now: number): PoolTimeoutError {
  const { inventory, max, waiting, waitedMillis, lastFailure } = facts
  const details = { ...inventory.occupancy(now), max, waiting, waitedMillis }
  return new PoolTimeoutError(details, lastFailure ?? openingInVain(inventory, now))
}

/** There was room, so whoever waited in vain waited for a server that doesn't answer. */
function openingInVain(inventory: Inventory, now: number): ConnectError | undefined {
  const opening = inventory.longestOpening()
  return opening && new ConnectError(opening.endpoint, noAnswer(now - opening.startedAt))
}
