import type { Client } from 'pg'
import { internalsOf } from '../driver/internals.ts'
import { type Submittable, trackSubmittable } from '../driver/submittable.ts'
import { failure } from './stack.ts'
import type { Callback } from './statement-run.ts'

/** The arguments of `query`, in whichever of pg's forms. */
export type QueryArguments = readonly [first?: unknown, second?: unknown, third?: unknown]

/** Refuses a call of `query`, in the form in which it would have been answered. Nothing is sent. */
export function refuseQuery(client: Client, [first, second, third]: QueryArguments, refusal: Error): unknown {
  // Throws the driver's own TypeError.
  if (first === null || first === undefined) return client.query(first as never)
  const callback = typeof second === 'function' ? second : (third ?? (first as { callback?: unknown }).callback)
  if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
  if (typeof (first as Partial<Submittable>).submit === 'function')
    return refuseSubmittable(client, first as Submittable, callback as Callback | undefined, refusal)
  if (!callback) return new Promise((resolve) => resolve(failure(refusal)))
  process.nextTick(callback as Callback, refusal)
  return undefined
}

/** Tells a cursor or stream that it isn't submitted, and whoever reads from it later. */
function refuseSubmittable(
  client: Client,
  submittable: Submittable,
  callback: Callback | undefined,
  refusal: Error,
): Submittable {
  const { connection } = internalsOf(client)
  trackSubmittable(submittable, callback as never, {
    connection,
    isReady: () => true,
    isOver: () => true,
    explain: () => refusal,
    limit: () => undefined,
    ended: () => {},
    refusal: () => refusal,
  })
  process.nextTick(() => submittable.handleError(refusal, connection))
  return submittable
}
