import { NestedTransactionError } from '../errors.ts'
import type { Attempt } from '../runtime/attempt.ts'
import type { Caller } from './caller.ts'
import type { Inventory } from './inventory.ts'
import type { Line } from './line.ts'

/**
 * Why whoever has just joined the line would never be served: all `max` connections are held by transactions, and the
 * function of each waits for another transaction to begin, which stands in line. He made the circle complete.
 */
export function deadlockOf(caller: Caller, inventory: Inventory, line: Line, max: number): Error | undefined {
  const outer = transactionAround(caller)
  if (!outer || inventory.size < max) return undefined
  const waitedFor: Attempt[] = []
  for (let waiter = line.first; waiter; waiter = waiter.next) {
    const transaction = transactionAround(waiter.caller)
    if (transaction) waitedFor.push(transaction)
  }
  const isHopeless = inventory
    .all()
    .every(
      (connection) =>
        connection.is('leased') && waitedFor.some((transaction) => transaction.isWithin(connection.lease.attempt)),
    )
  return isHopeless ? new NestedTransactionError(max, outer.origin) : undefined
}

/** Whoever wants to begin a transaction in the function of another one. */
function transactionAround({ options }: Caller): Attempt | undefined {
  const { attempt } = options ?? {}
  return attempt?.hasBegun ? undefined : attempt?.outer
}
