import type { ConnectionLostError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'
import { isConnectionLost, isOfLostPrimary } from './classify-error.ts'
import { isWorkersEnd } from './outcome.ts'
import { poolerMeaning } from './pooler-words.ts'
import { wasTooSlow } from './slowness.ts'

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
