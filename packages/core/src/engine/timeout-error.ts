import { ConnectError, noAnswer, PoolTimeoutError } from '../errors.ts'
import type { EngineContext } from './engine-context.ts'
import type { Inventory } from './inventory.ts'

/** What a waiter is told when its deadline has passed: who has the connections, and whether the server is the reason. */
export function timeoutError(
  { inventory, options, lastConnectFailure }: EngineContext,
  waitedMillis: number,
  waiting: number,
  now: number,
): PoolTimeoutError {
  const details = { ...inventory.occupancy(now), max: options.max, waiting, waitedMillis }
  return new PoolTimeoutError(details, lastConnectFailure ?? unansweredLogin(inventory, now))
}

/** If a connection is being opened, the pool had room for one more, and the server doesn't answer. */
function unansweredLogin(inventory: Inventory, now: number): ConnectError | undefined {
  const opening = inventory.longestOpening()
  return opening && new ConnectError(opening.endpoint, noAnswer(now - opening.startedAt))
}
