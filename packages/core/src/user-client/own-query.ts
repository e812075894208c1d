import type { Client, QueryResult } from 'pg'
import { propertyOf, toError } from '../thrown.ts'

type Callback = (error: Error | null, result?: QueryResult) => void

/** The statements of each client that wait for an answer of its own `query`. */
const WAITING = new WeakMap<Client, Set<() => void>>()

/**
 * Sends a statement by a `query` of the user's own class, which may call back, return a promise of the answer, or both. `done`
 * is called with the first of these, also when the promise rejects. If there is none, the statement ends with the connection:
 * `onEnd` adds a listener for that.
 */
export function sendByOwnQuery(
  client: Client,
  query: (done: Callback) => unknown,
  isAnswer: (result: unknown) => boolean,
  done: Callback,
  onEnd: (listener: () => void) => void,
): void {
  const waiting = WAITING.get(client) ?? watchEnd(client, onEnd)
  const giveUp = (): void => answer(new Error('Connection terminated unexpectedly'))
  const answer: Callback = (error, result) => {
    waiting.delete(giveUp)
    done(error, result)
  }
  waiting.add(giveUp)
  let returned: unknown
  try {
    returned = query(answer)
  } catch (error) {
    waiting.delete(giveUp)
    throw error
  }
  if (typeof propertyOf(returned, 'then') !== 'function') return
  Promise.resolve(returned).then(
    (result) => {
      if (isAnswer(result)) answer(null, result as QueryResult)
    },
    (reason: unknown) => answer((reason || toError(reason)) as Error),
  )
}

/** Adds one listener for all statements of a client. */
function watchEnd(client: Client, onEnd: (listener: () => void) => void): Set<() => void> {
  const waiting = new Set<() => void>()
  WAITING.set(client, waiting)
  const giveUpAll = (): void => {
    for (const giveUp of waiting) giveUp()
  }
  // The driver tells the statements that it knows in the next tick. This comes after it.
  onEnd(() => process.nextTick(() => process.nextTick(giveUpAll)))
  return waiting
}
