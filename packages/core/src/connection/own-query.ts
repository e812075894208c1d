import type { Client, QueryResult } from 'pg'
import { internalsOf } from '../driver/internals.ts'
import { keepListening } from '../driver/kept-listeners.ts'
import { propertyOf, toError } from '../thrown.ts'
import type { Callback } from './statement-run.ts'

/** Those who wait for an answer of a client's own `query`, by client. */
const WAITING = new WeakMap<Client, Set<() => void>>()

/**
 * Sends a statement by a `query` of the user's own, which may call back, return a promise of the answer, or do both. `done`
 * is told the first of these, also when the promise rejects. If there is none, the end of the connection is the end of the
 * statement: the driver tells of those that it knows before.
 */
export function sendByOwn(
  client: Client,
  query: (done: Callback) => unknown,
  isAnswer: (result: unknown) => boolean,
  done: Callback,
): void {
  const waiting = WAITING.get(client) ?? listen(client)
  const giveUp = (): void => tell(new Error('Connection terminated unexpectedly'))
  const tell: Callback = (error, result) => {
    waiting.delete(giveUp)
    done(error, result)
  }
  waiting.add(giveUp)
  let returned: unknown
  try {
    returned = query(tell)
  } catch (error) {
    waiting.delete(giveUp)
    throw error
  }
  if (typeof propertyOf(returned, 'then') !== 'function') return
  Promise.resolve(returned).then(
    (result) => {
      if (isAnswer(result)) tell(null, result as QueryResult)
    },
    (reason: unknown) => tell((reason || toError(reason)) as Error),
  )
}

/** One listener for all of them. */
function listen(client: Client): Set<() => void> {
  const waiting = new Set<() => void>()
  WAITING.set(client, waiting)
  const giveUp = (): void => {
    for (const each of waiting) each()
  }
  // The driver tells its own statements in the tick after this.
  keepListening(internalsOf(client).connection, 'end', () => process.nextTick(() => process.nextTick(giveUp)))
  return waiting
}
