import type { OwnOptions } from '../options/pool-options.ts'
import { codeOf } from '../thrown.ts'
import { poolerMeaning } from './pooler-words.ts'
import { factsOf } from './sqlstate.ts'

// What the loss of one connection means for the others: `reachOf` judges its cause, `consequenceOf` what follows.

/**
 * What the cause of a loss says of the other connections:
 * - `all`: what ended this one has ended them too: the server has restarted;
 * - `silent`: as `all`, since it has answered no ping in time. Behind a pooler nothing: the ping may wait for a free session;
 * - `unclear`: nothing. An administrator has ended one session, or a crash all of them;
 * - `suspect`: a statement wasn't answered in time. It may be slow, or the network dead;
 * - `own`: nothing happened to them, since the cause was in that session;
 * - `server-away`: the pooler has no server for any of them, though they stay connected to it.
 */
export type LossReach = 'all' | 'silent' | 'unclear' | 'suspect' | 'own' | 'server-away'

/** Judges by the cause of a loss what it says of the other connections. */
export function reachOf(cause: unknown): LossReach {
  if (poolerMeaning(cause) === 'refused') return 'server-away'
  const { ownFault, endsAll } = factsOf(codeOf(cause))
  if (ownFault) return 'own'
  return endsAll ? 'all' : 'unclear'
}

/** What is known of a connection that is lost, besides the cause. */
export interface LostConnection {
  /** Whether it had been invalidated before. */
  readonly wasInvalid: boolean
  /** Whether it was lost while it was pinged. */
  readonly wasPinged: boolean
  /** Whether it was a suspect, and no other one that is as old has answered since it became one. */
  readonly isFailedSuspect: boolean
  /** Whether the pool has no other. */
  readonly isOnlyOne: boolean
}

/** The options that a consequence depends on. */
export interface LossPolicy {
  readonly invalidateOnDisconnect: NonNullable<OwnOptions['invalidateOnDisconnect']>
  /** Whether the pool may ping before a lease. */
  readonly mayPing: boolean
  /** Whether the lost connection is known to lead to a pooler. */
  readonly isPooled: boolean
}

/**
 * What becomes of the other connections:
 * - `none`: they stay as they are;
 * - `suspect`: each must answer a ping before its next lease;
 * - `retire older`: those of the same generation, and older ones, are retired;
 * - `retire all`: all that are open are retired.
 */
export type LossConsequence = 'none' | 'suspect' | 'retire older' | 'retire all'

/**
 * Decides what a loss means for the other connections. One that is lost alone makes them suspects, since only one session may
 * have been ended. A second sign convicts them: a ping that fails, or the loss of a suspect. What may not be pinged can't be a
 * suspect, so it is retired at once.
 */
export function consequenceOf(
  reach: LossReach,
  { wasInvalid, wasPinged, isFailedSuspect, isOnlyOne }: LostConnection,
  { invalidateOnDisconnect: option, mayPing, isPooled }: LossPolicy,
): LossConsequence {
  if (reach === 'own' || (reach === 'silent' && isPooled)) return 'none'
  if (reach === 'suspect' || reach === 'server-away') return 'suspect'
  // Its loss belongs to an invalidation that has happened.
  if (option === 'one' || wasInvalid) return 'none'
  if (option === 'all' || !mayPing) return 'retire all'
  return reach === 'all' || reach === 'silent' || wasPinged || isFailedSuspect || isOnlyOne ? 'retire older' : 'suspect'
}
