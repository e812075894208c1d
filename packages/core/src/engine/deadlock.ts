import type { Connection } from '../connection/connection.ts'
import type { Attempt } from '../runtime/attempt.ts'
import type { Caller } from './caller.ts'
import type { Waiter } from './waiters.ts'

/**
 * Whether those in line will never be served: all `max` connections are held by transactions, and the function of each
 * waits for another transaction to begin, which stands in line.
 */
export function isDeadlock(
  connections: readonly Connection[],
  max: number,
  first: Waiter<Caller> | undefined,
): boolean {
  if (connections.length < max) return false
  const nested: Attempt[] = []
  for (let waiter = first; waiter; waiter = waiter.next) {
    const { attempt } = waiter.caller.options ?? {}
    if (attempt?.outer && !attempt.hasBegun) nested.push(attempt.outer)
  }
  return connections.every(
    (connection) => connection.is('leased') && nested.some((outer) => outer.isWithin(connection.lease.attempt)),
  )
}
