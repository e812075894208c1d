import { PoolDeadlockError } from '../errors.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import type { Caller } from './caller.ts'
import type { Inventory } from './inventory.ts'
import type { Waiter } from './waiter-list.ts'

/**
 * How long nothing may have happened, in milliseconds, until a deadlock is taken for one where callers have no deadline.
 */
export const STANDSTILL_MILLIS = 60_000

/** Where a deadlock is looked for. */
export interface DeadlockParts {
  readonly inventory: Inventory
  /** The first in line. */
  readonly first: () => Waiter<Caller> | undefined
  readonly max: number
}

/**
 * Answers what to tell a caller whose patience has ended, and who still stands in the line: that every connection is held by
 * a transaction whose function still runs, has nothing under way at the server, and has asked for a connection that it
 * doesn't get. Whether such a function awaits what it has asked for nobody can know, so nobody is told before a deadline.
 * Undefined if it is no deadlock, or the caller doesn't begin a transaction in the function of another one.
 *
 * All callers who are told at the same time are judged by the line as it was before the first of them left it.
 */
export function lookForDeadlock(parts: DeadlockParts): (caller: Caller) => PoolDeadlockError | undefined {
  let isHopeless: boolean | undefined
  return (caller) => {
    const outer = transactionAround(caller)
    if (!outer?.isAtWork) return undefined
    isHopeless ??= isDeadlocked(parts)
    return isHopeless ? new PoolDeadlockError(parts.max, outer.origin) : undefined
  }
}

function isDeadlocked({ inventory, first, max }: DeadlockParts): boolean {
  const connections = inventory.all()
  const isHeld = connections.every((connection) => connection.is('leased') && connection.inSync)
  if (!isHeld || connections.length < max) return false
  const waiting = whoseFunctionsWait(first())
  return connections.every(({ lease }) => lease.attempt !== undefined && waiting.has(lease.attempt))
}

/** Whether nothing has happened on any connection for so long that, without a deadline, nothing more will. */
export function isStill(inventory: Inventory, now: number): boolean {
  return inventory
    .all()
    .every(({ liveness, lease }) => now - Math.max(liveness.answeredAt, lease.since) >= STANDSTILL_MILLIS)
}

/** Whether this caller begins a transaction in the function of another one. */
export function isNested(caller: Caller): boolean {
  return transactionAround(caller) !== undefined
}

/** The transactions whose functions have asked for a connection that they don't have so far, themselves or one in them. */
function whoseFunctionsWait(first: Waiter<Caller> | undefined): Set<TransactionAttempt> {
  const waiting = new Set<TransactionAttempt>()
  for (let waiter = first; waiter; waiter = waiter.next) {
    const { attempt } = waiter.caller.options ?? {}
    let each = attempt?.hasBegun ? attempt : attempt?.outer
    for (; each?.isAtWork && !waiting.has(each); each = each.outer) waiting.add(each)
  }
  return waiting
}

function transactionAround({ options }: Caller): TransactionAttempt | undefined {
  const { attempt } = options ?? {}
  return attempt?.hasBegun ? undefined : attempt?.outer
}
