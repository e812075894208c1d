import { type ConnectionLostError, PoolTimeoutError } from '../errors.ts'
import { codeOf, isInstance, propertyOf } from '../thrown.ts'
import {
  findInChain,
  isConnectionLost,
  isDisconnect,
  isOfLostPrimary,
  isPassing,
  isStale,
  isSystemCall,
  leavesOf,
  someInChain,
} from './classify-error.ts'
import { isWorkersEnd } from './outcome.ts'
import { poolerMeaning } from './pooler-words.ts'
import { wasTooSlow } from './slowness.ts'
import { factsOf, severityOf } from './sqlstate.ts'

// What is tried again after an error, in one place:
//
// | what | is tried again if | decided by |
// | --- | --- | --- |
// | connecting | the failure passes by itself | mayConnectAgain |
// | a transaction | nothing of it is written | isRetryable |
// | a statement | it certainly did nothing | judgeRerun |
// | a plain read | its connection was lost: it may have run, and writes nothing | mayReadAgain |
// | an idempotent statement | its connection was lost, or the error passes: it may run twice | mayRunTwice |
//
// What was ended for its slowness never is. How often is said by `connectRetry` and `TRANSACTION_RETRY` in the table of options.

const REFUSED_BY_POOLER = '08P01' // PgBouncer uses it for everything that it refuses, even a wrong password.

/**
 * Whether to connect again after this failure. What isn't known to pass by itself (bad password, unknown database, bad
 * certificate) is final.
 */
export function mayConnectAgain(error: unknown, hasConnectedBefore: boolean): boolean {
  if (isInstance(error, AggregateError))
    return leavesOf(error).some((each) => mayConnectAgain(each, hasConnectedBefore))
  const code = codeOf(error)
  // A missing Unix socket comes back with its server; a missing certificate file doesn't.
  if (code === 'ENOENT') return isSystemCall(error, 'connect')
  // A handshake that never worked won't work (no common cipher, a refused certificate), unless bytes were damaged.
  if (isTlsCode(code)) return hasConnectedBefore || /BAD_RECORD_MAC|DECRYPT/.test(code)
  // An unknown host is a typo, unless the name has worked before: then the resolver fails for a while.
  if (code === 'ENOTFOUND') return hasConnectedBefore
  if (factsOf(code).connectAgain) return true
  // The driver itself says this when it can't read an answer: bytes were damaged, or there is no PostgreSQL at all.
  if (code === REFUSED_BY_POOLER && severityOf(error) === undefined) return hasConnectedBefore
  const meaning = poolerMeaning(error)
  if (meaning) return meaning !== 'final'
  return isPassing(error)
}

/** Whether to connect again for a query of the pool's own, when others have connected: asking a pooler again does no harm. */
export function mayAskAgain(error: unknown): boolean {
  return codeOf(error) === REFUSED_BY_POOLER || mayConnectAgain(error, true)
}

function isTlsCode(code: string | undefined): code is string {
  return code === 'EPROTO' || code?.startsWith('ERR_SSL_') === true
}

/**
 * Whether the whole transaction may run again because nothing of it can have been written: its connection was lost before
 * COMMIT was sent, the server rolled it back (40001, 40P01) or refused the connection (53300, 57P03), or a prepared statement
 * was stale and is prepared again by now. Never true of a lost COMMIT, 40003 and 08007, nor of what was ended because it was
 * too slow (`query_timeout`, 25P03, 25P04): it would be as slow again. Follows `cause` and TypeORM's `driverError`.
 */
export function isRetryable(error: unknown): boolean {
  const lost = findInChain(error, isConnectionLost)
  if (lost) return propertyOf(lost, 'commitOutcome') === 'aborted' && !wasTooSlow(propertyOf(lost, 'cause'))
  return someInChain(
    error,
    (each) => factsOf(codeOf(each)).retryTransaction === true || isStale(each) || isOfLostPrimary(each),
  )
}

/** Why a statement may run again although its caller hasn't said that this is harmless: it certainly did nothing. */
export type CertainReason = 'never-ran' | 'rolled-back'

/** What follows from the error that a statement outside of a transaction has ended with. */
export type RerunVerdict =
  /** It may run again. `isRefusal`: no server was reached, so that each try costs nothing. */
  | { readonly reason: CertainReason; readonly isRefusal: boolean }
  /** It did nothing, and yet it must not run again. */
  | { readonly whyNot: string }
  /** It may have done something, or its error would only come again. */
  | undefined

/**
 * Whether a statement that ended with this error may run again by itself: what certainly did nothing may, a write too, unless
 * it was ended for its slowness, or would be refused again.
 */
export function judgeRerun(error: unknown): RerunVerdict {
  if (isWorkersEnd(error) || isOfLostPrimary(error)) return { reason: 'rolled-back', isRefusal: false }
  const reason = isConnectionLost(error) ? certainReason(error) : undefined
  if (!reason) return undefined
  const cause = propertyOf(error, 'cause')
  if (wasTooSlow(cause)) return { whyNot: 'it was ended because it took too long' }
  const pooler = poolerMeaning(cause)
  return pooler === 'final' ? undefined : { reason, isRefusal: pooler === 'refused' }
}

function certainReason({ statementOutcome }: ConnectionLostError): CertainReason | undefined {
  return statementOutcome === 'never-ran' || statementOutcome === 'rolled-back' ? statementOutcome : undefined
}

/** Whether a plain read that ended with this error may run again, in a transaction that only reads. */
export function mayReadAgain(error: unknown): error is ConnectionLostError {
  return isConnectionLost(error) && error.phase === 'query' && !wasTooSlow(error.cause)
}

/** Whether an idempotent statement that ended with this error is sent again, although it may have run. */
export function mayRunTwice(error: unknown): boolean {
  if (isInstance(error, PoolTimeoutError)) return false
  if (wasTooSlow(error) || wasTooSlow(propertyOf(error, 'cause'))) return false
  return isDisconnect(error) || isRetryable(error)
}
