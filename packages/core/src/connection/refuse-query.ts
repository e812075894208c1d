import type { Client } from 'pg'
import { failSubmittable, type Submittable, trackSubmittable } from '../driver/submittable.ts'
import { OptionsError, ReleaseError } from '../errors.ts'
import { abortReason } from '../runtime/abort.ts'
import { endedAttempt } from '../runtime/pool-options-scope.ts'
import { failure } from '../runtime/stack.ts'
import { onlyRollsBack } from '../sql/statement.ts'
import { propertyOf } from '../thrown.ts'
import type { ClientOwner } from './client-owner.ts'
import type { Callback, QueryArguments } from './query-config.ts'

/** Why a statement isn't sent; undefined if it is. */
export function refusalOf(
  owner: ClientOwner,
  text: string | undefined,
  signal: AbortSignal | undefined,
): Error | undefined {
  return owner.refusal(text) ?? endedAttemptRefusal(owner) ?? signalRefusal(signal, text)
}

/**
 * The function of a transaction may run on when its attempt has ended. It must not use the session of the next lease. A client
 * of one lease refuses by itself. One that all leases share can't tell its holders apart, except by the transaction.
 */
function endedAttemptRefusal({ isClientShared, isInUse, lease }: ClientOwner): Error | undefined {
  if (!isClientShared || !isInUse || !endedAttempt()?.mustNotUse(lease)) return undefined
  return new ReleaseError('The transaction of this client has ended: it may not be used any more.')
}

/** A statement whose caller has given up isn't sent. A rollback always is. */
function signalRefusal(signal: AbortSignal | undefined, text: string | undefined): Error | undefined {
  if (signal !== undefined && typeof propertyOf(signal, 'addEventListener') !== 'function')
    return new OptionsError(['`signal` must be an AbortSignal (of an AbortController it is `.signal`).'])
  return signal?.aborted && !onlyRollsBack(text) ? abortReason(signal) : undefined
}

/** Refuses a call of `query`, in the form in which it would have been answered. Nothing is sent. */
export function refuseQuery(client: Client, [first, second, third]: QueryArguments, refusal: Error): unknown {
  if (first === null || first === undefined) return client.query(first as never) // Throws the driver's own TypeError.
  const callback = typeof second === 'function' ? second : (third ?? (first as { callback?: unknown }).callback)
  if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
  if (typeof (first as Partial<Submittable>).submit === 'function')
    return refuseSubmittable(client, first as Submittable, callback as Callback | undefined, refusal)
  if (!callback) return new Promise((resolve) => resolve(failure(refusal)))
  process.nextTick(callback as Callback, refusal)
  return undefined
}

/** Tells a cursor or a stream that it isn't submitted. Later reads from it fail, too. */
function refuseSubmittable(
  client: Client,
  submittable: Submittable,
  callback: Callback | undefined,
  refusal: Error,
): Submittable {
  trackSubmittable(client, submittable, callback as never, {
    isOver: () => true,
    errorFor: () => refusal,
    startTimeout: () => undefined,
    onEnd: () => {},
    refusal: () => refusal,
  })
  failSubmittable(client, submittable, refusal)
  return submittable
}
