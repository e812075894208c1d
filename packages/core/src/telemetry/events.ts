import type { PoolClient } from 'pg'
import type { Loss } from '../errors.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { stackOf } from '../thrown.ts'
import { escaped } from './escape.ts'

/** The connection that an event is about. */
export interface EventConnection {
  /** Counts up from 1 within a pool. */
  readonly id: number
  /** Not enumerable, so that no log of an event prints what it is at. */
  readonly client: PoolClient
  readonly backendPid: number | null
}

/** Everything worth knowing about a pool, in the past tense. Durations in milliseconds. */
export type PoolEvent =
  | { readonly type: 'connection-opened'; readonly connection: EventConnection; readonly tookMillis: number }
  | { readonly type: 'connect-failed'; readonly error: unknown }
  /** It has answered a ping: before a lease, or while it lay idle (`keepaliveMillis`). */
  | { readonly type: 'connection-pinged'; readonly connection: EventConnection; readonly tookMillis: number }
  | { readonly type: 'connection-leased'; readonly connection: EventConnection; readonly waitedMillis: number }
  /** Somebody who wanted a connection got none: he timed out, gave up, was refused, or the server couldn't be had. */
  | { readonly type: 'acquire-failed'; readonly error: unknown; readonly waitedMillis: number }
  /** Held for longer than `leakDetectionMillis`; told once per lease. */
  | {
      readonly type: 'connection-leak-suspected'
      readonly connection: EventConnection
      readonly heldMillis: number
      /** Where it was acquired. */
      readonly stack: string | undefined
    }
  | {
      readonly type: 'connection-released'
      readonly connection: EventConnection
      readonly heldMillis: number
      readonly discard: Error | boolean | undefined
      /** Whether it had been told to be overdue. */
      readonly wasOverdue: boolean
    }
  /** Reset after a release: by which statements, or by the user's function. */
  | {
      readonly type: 'connection-reset'
      readonly connection: EventConnection
      readonly by: string
      readonly tookMillis: number
    }
  | {
      readonly type: 'connection-lost'
      readonly connection: EventConnection
      readonly loss: Loss
      readonly wasLeased: boolean
      /** Whether it was being pinged. */
      readonly wasPinged: boolean
    }
  | {
      readonly type: 'connection-retired'
      readonly connection: EventConnection
      readonly reason: RetireReason
      readonly cause: unknown
    }
  | { readonly type: 'connection-closed'; readonly connection: EventConnection }
  | {
      readonly type: 'pool-invalidated'
      readonly generation: number
      readonly cause: unknown
      /** Whether somebody called `invalidate()`; else a connection was lost. */
      readonly wasAsked: boolean
    }
  /** `dispose()`: the connections opened so far are let go. */
  | { readonly type: 'pool-disposed'; readonly generation: number }
  /** The process was frozen, or its clocks were set: every connection is suspect. */
  | { readonly type: 'process-suspended' }
  /** The pool was made in another process: its connections belong to that one, and are dropped without a word. */
  | { readonly type: 'process-changed'; readonly from: number; readonly to: number }
  /** The pools of this service can want more connections than the server grants. Told once. */
  | {
      readonly type: 'capacity-exceeded'
      readonly max: number
      /** How many processes with such a pool are known of. */
      readonly workers: number
      /** What the server, the role and the database grant. */
      readonly available: number
    }
  /** A statement of `pool.query` has begun a transaction: nothing else will be in it, and it ends as the connection comes back. */
  | { readonly type: 'transaction-left-open' }
  /** Connections can be opened again: after attempts that failed, or after the loss of all that were open. */
  | {
      readonly type: 'recovered'
      /** Since the first attempt to connect of the outage began. */
      readonly afterMillis: number
      /** How many attempts failed in between; 0 if the first one succeeded. */
      readonly failedAttempts: number
    }
  /** A transaction runs again as a whole. Nothing of the attempt before was written. */
  | ({ readonly type: 'transaction-retried' } & Rerun)
  /** A statement of `pool.query` runs again by itself. */
  | ({ readonly type: 'statement-retried'; readonly reason: StatementRetryReason } & Rerun)
  /** The answer to a COMMIT was lost, and the pool has asked what became of it. */
  | {
      readonly type: 'commit-resolved'
      /** The connection on which COMMIT was lost. */
      readonly connection: EventConnection
      readonly verdict: 'committed' | 'aborted' | 'unknown'
      /** Why the outcome is unknown; undefined if it isn't. */
      readonly reason: string | undefined
      readonly tookMillis: number
    }
  /** A session whose connection was lost was still in its transaction, and was terminated, so that its locks are free. */
  | {
      readonly type: 'session-fenced'
      /** Its `pid` in `pg_stat_activity`. */
      readonly backendPid: number
      readonly tookMillis: number
    }
  | { readonly type: 'pool-closed' }

/** Something that failed and runs again. */
interface Rerun {
  /** The attempt that begins now: 2 is the first retry. */
  readonly attempt: number
  /** Why the attempt before failed. */
  readonly error: unknown
  /** How long ago that was. */
  readonly pausedMillis: number
}

/**
 * Why a statement of `pool.query` may run again:
 * - `idempotent`: its caller has said that running it twice is harmless;
 * - `never-ran`: the server, or what stands before it, refused the statement before anything of it ran;
 * - `stale-session`: the session's own state was in the way (a cached plan, a forgotten statement), and nothing ran.
 */
export type StatementRetryReason = 'idempotent' | 'never-ran' | 'stale-session'

/** What may have happened to the process: it stood still, or it is a copy of the one in which the pool was made. */
export type Interruption = Extract<PoolEvent, { type: 'process-suspended' | 'process-changed' }>

/** One kind of event. */
export type PoolEventType = PoolEvent['type']

/** Hears of every event. Must not throw; if it does, that's a warning and nothing else. */
export type Subscriber = (event: PoolEvent) => void

/**
 * Whether a subscriber cares for this kind of event: always, never, or to be asked each time. What nobody hears isn't even
 * put into words.
 */
export type Hears = (type: PoolEventType) => boolean | (() => boolean)

interface Subscription {
  readonly subscriber: Subscriber
  readonly hears: Hears
}

const always = (): boolean => true
const never = (): boolean => false

/** Where the engine tells what happened, without knowing who listens. */
export class Publisher {
  readonly #subscriptions: Subscription[] = []
  readonly #poolName: string

  constructor(poolName: string) {
    this.#poolName = poolName
  }

  /** Adds a subscriber for the life of the pool. */
  subscribe(subscriber: Subscriber, hears: Hears = always): void {
    this.#subscriptions.push({ subscriber, hears })
  }

  /**
   * Answers with a question to be kept, and asked each time: does anybody, of those who have subscribed by now, listen to
   * this kind of event? For what happens so often that putting it into words counts.
   */
  isHeard(type: PoolEventType): () => boolean {
    return this.#subscriptions.map(({ hears }) => questionOf(hears, type)).reduce(either, never)
  }

  /** Tells every subscriber who listens. */
  publish(event: PoolEvent): void {
    for (const { subscriber, hears } of this.#subscriptions) {
      try {
        if (questionOf(hears, event.type)()) subscriber(event)
      } catch (error) {
        // A listener's bug must cost neither a connection nor the caller who waits for it.
        process.emitWarning(
          `A listener of pool '${escaped(this.#poolName)}' threw on ${event.type}: ${stackOf(error)}`,
          {
            type: 'HoldfastWarning',
            code: 'HOLDFAST_LISTENER_THREW',
          },
        )
      }
    }
  }
}

function questionOf(hears: Hears, type: PoolEventType): () => boolean {
  const answer = hears(type)
  if (typeof answer === 'function') return answer
  return answer ? always : never
}

/** One closure over two: the engine's fastest path leads through here, and a loop over a list costs three times as much. */
function either(one: () => boolean, other: () => boolean): () => boolean {
  if (one === never || other === always) return other
  return other === never ? one : () => one() || other()
}
