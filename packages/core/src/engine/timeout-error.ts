import { ConnectError, isOfAllHosts, noAnswer, PoolDeadlockError, PoolTimeoutError } from '../errors.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import { isInstance } from '../thrown.ts'
import type { EngineContext } from './engine-context.ts'
import type { Inventory } from './inventory.ts'
import type { QueueEntry, Waiter, WaiterList } from './waiter-list.ts'

/** What a waiter is told when its deadline has passed: who has the connections, and whether the server is the reason. */
export function timeoutError(
  { inventory, options, connector, lastConnectFailure }: EngineContext,
  waitedMillis: number,
  waiting: number,
  now: number,
): PoolTimeoutError {
  const details = { ...inventory.occupancy(now), max: options.max, waiting, waitedMillis }
  const cause = lastConnectFailure ?? unansweredLogin(inventory, now)
  const { hosts } = connector
  if (!hosts || !isInstance(cause, ConnectError) || isOfAllHosts(cause)) return new PoolTimeoutError(details, cause)
  return new PoolTimeoutError(details, hosts.failure(cause, cause.endpoint))
}

/** If a connection is being opened, the pool had room for one more, and the server doesn't answer. */
function unansweredLogin(inventory: Inventory, now: number): ConnectError | undefined {
  const opening = inventory.longestOpening()
  return opening && new ConnectError(opening.endpoint, noAnswer(now - opening.startedAt))
}

/** How long nothing may have happened, in milliseconds, until a waiter without a deadline is told of a deadlock. */
export const STANDSTILL_MILLIS = 60_000

/**
 * Returns a function that finds the error of a waiter whose deadline has passed, and that is still in the queue. It is a
 * deadlock if every connection is held by a transaction whose function still runs, has nothing under way at the server, and
 * has asked for a connection that it doesn't get. The pool can't know whether such a function awaits that connection, so no
 * waiter is told before its deadline. The result is undefined if this is no deadlock, or if the waiter doesn't begin a
 * transaction inside the function of another one.
 *
 * All waiters that time out together are judged by the queue as it was before the first of them left it.
 */
export function lookForDeadlock(
  inventory: Inventory,
  waiters: WaiterList,
  max: number,
): (waiter: Waiter) => PoolDeadlockError | undefined {
  let isHopeless: boolean | undefined
  return (waiter) => {
    const outer = transactionAround(waiter)
    if (!outer?.isFunctionRunning) return undefined
    isHopeless ??= isDeadlocked(inventory, waiters, max)
    return isHopeless ? new PoolDeadlockError(max, outer.origin) : undefined
  }
}

function isDeadlocked(inventory: Inventory, waiters: WaiterList, max: number): boolean {
  const connections = inventory.all()
  const isHeld = connections.every((connection) => connection.is('leased') && connection.inSync)
  if (!isHeld || connections.length < max) return false
  const waiting = transactionsThatWait(waiters.first)
  return connections.every(({ lease }) => lease.attempt !== undefined && waiting.has(lease.attempt))
}

/** Whether nothing has happened on any connection for so long that, without a deadline, nothing more will. */
export function isStill(inventory: Inventory, now: number): boolean {
  return inventory
    .all()
    .every(({ liveness, lease }) => now - Math.max(liveness.answeredAt, lease.since) >= STANDSTILL_MILLIS)
}

/** Whether this waiter begins a transaction inside the function of another one. */
export function isNested(waiter: Waiter): boolean {
  return transactionAround(waiter) !== undefined
}

/** The transactions whose functions wait for a connection, directly or in a transaction inside. */
function transactionsThatWait(first: QueueEntry | undefined): Set<TransactionAttempt> {
  const waiting = new Set<TransactionAttempt>()
  for (let entry = first; entry; entry = entry.next) {
    const { attempt } = entry.waiter.options ?? {}
    let each = attempt?.hasFunctionStarted ? attempt : attempt?.outer
    for (; each?.isFunctionRunning && !waiting.has(each); each = each.outer) waiting.add(each)
  }
  return waiting
}

function transactionAround({ options }: Waiter): TransactionAttempt | undefined {
  const { attempt } = options ?? {}
  return attempt?.hasFunctionStarted ? undefined : attempt?.outer
}
