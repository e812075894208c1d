import type { LossReach } from './reach.ts'

/**
 * Why a connection is dead:
 * - `session-gone`: the server has no such session;
 * - `never-arrived`: the server has not received the statement;
 * - `unfinished`: the server has received a part of it, and waits for the rest;
 * - `answer-lost`: the server has sent its answer, or has never received the statement;
 * - `answer-stuck`: the server can't send its answer;
 * - `unreachable`: the network doesn't lead to the server.
 */
export type DeadVerdict =
  | 'session-gone'
  | 'never-arrived'
  | 'unfinished'
  | 'answer-lost'
  | 'answer-stuck'
  | 'unreachable'

/** Each of them in words, after "and". */
export const DEAD: Record<DeadVerdict, string> = {
  'session-gone': 'the server has no such session',
  'never-arrived': 'the server has not received the statement',
  unfinished: 'the server has received only a part of the statement',
  'answer-lost': 'the server waits for a statement',
  'answer-stuck': "the server can't send its answer",
  unreachable: "the network doesn't lead to the server",
}

/** What was found out about a connection that is dead under a statement. */
export interface FoundDead {
  readonly verdict: DeadVerdict
  readonly silentMillis: number
  /** What is proven of the statement; undefined for nothing. */
  readonly proof: ProofOfDeath | undefined
}

/**
 * What the end of the session proves of the statement outside of a transaction: it never ran, was interrupted before its
 * commit, or is committed.
 */
export type ProofOfDeath = 'never-ran' | 'interrupted' | 'committed'

const PROOFS = new WeakMap<object, ProofOfDeath>()

/** What a connection that was found dead is lost of: the `cause` of its `ConnectionLostError`. */
export function deathError({ verdict, silentMillis, proof }: FoundDead): Error {
  const error = new Error(`Nothing was received for ${Math.round(silentMillis)} ms, and ${DEAD[verdict]}`)
  if (proof) PROOFS.set(error, proof)
  return verdict === 'unreachable' ? Object.assign(error, { code: 'ETIMEDOUT' }) : error
}

/** What this cause of a loss proves of the statement that was under way; undefined if it is none of these, or proves nothing. */
export function proofOfDeath(cause: unknown): ProofOfDeath | undefined {
  return typeof cause === 'object' && cause !== null ? PROOFS.get(cause) : undefined
}

/** What the death of one connection means for the others. A flow dies alone; a network that leads nowhere concerns all. */
export function reachOfDeath({ verdict }: FoundDead): LossReach {
  return verdict === 'unreachable' ? 'all' : 'suspect'
}
