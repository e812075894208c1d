import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

/** As long as the slowest machine might need: a promise that is still pending then never settles. */
const PATIENCE_MILLIS = 20_000

/** Waits for a promise that must settle, and says what did not if it does not. */
export async function settles<T>(promise: Promise<T>, what: string): Promise<T> {
  const patience = new AbortController()
  const tooLong = sleep(PATIENCE_MILLIS, undefined, { signal: patience.signal }).then(() => {
    throw new Error(`${what} was still pending after ${PATIENCE_MILLIS} ms`)
  })
  tooLong.catch(() => {})
  try {
    return await Promise.race([promise, tooLong])
  } finally {
    patience.abort()
  }
}

/** A promise that may reject whenever it likes, also long after the test. */
export function unattended<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** Whether a promise is still pending. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => false,
    () => false,
  )
  return Promise.race([settled, turn(true)])
}

/** The reason of a promise that must reject, within reasonable time. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  let value: unknown
  try {
    value = await settles(promise, 'what should reject')
  } catch (error) {
    return error as Error & Record<string, unknown>
  }
  throw new Error(`Resolved with ${JSON.stringify(value)} although it should reject`)
}
