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
  /** A connection was opened, and `onConnect` has run. */
  | { readonly type: 'connection-opened'; readonly connection: EventConnection; readonly tookMillis: number }
  /** An attempt to connect failed. Another one may follow. */
  | { readonly type: 'connect-failed'; readonly error: unknown }
  /** A connection has answered a ping: before a lease, or while it was idle (`keepaliveMillis`). */
  | { readonly type: 'connection-pinged'; readonly connection: EventConnection; readonly tookMillis: number }
  /** A caller got a connection. */
  | { readonly type: 'connection-leased'; readonly connection: EventConnection; readonly waitedMillis: number }
  /** A caller got no connection: it timed out, gave up or was refused, or the server could not be reached. */
  | { readonly type: 'acquire-failed'; readonly error: unknown; readonly waitedMillis: number }
  /** A lease lasts longer than `leakDetectionMillis`. Once per lease. */
  | {
      readonly type: 'connection-leak-suspected'
      readonly connection: EventConnection
      readonly heldMillis: number
      /** Where the connection was acquired. */
      readonly stack: string | undefined
    }
  /** A lease ended. */
  | {
      readonly type: 'connection-released'
      readonly connection: EventConnection
      readonly heldMillis: number
      /** What `release()` was given. */
      readonly discard: Error | boolean | undefined
      /** Whether `connection-leak-suspected` was published for this lease. */
      readonly wasOverdue: boolean
    }
  /** The session was reset after a lease. A clean session needs no reset. */
  | {
      readonly type: 'connection-reset'
      readonly connection: EventConnection
      /** The statements, or `resetOnReturn` for a function. */
      readonly by: string
      readonly tookMillis: number
    }
  /** A connection died. */
  | {
      readonly type: 'connection-lost'
      readonly connection: EventConnection
      /** `cause`, `phase` and `commitOutcome`, as in `ConnectionLostError`. */
      readonly loss: Loss
      readonly wasLeased: boolean
      /** Whether the connection was being pinged. */
      readonly wasPinged: boolean
    }
  /** A connection left the pool for good. Its slot is free. */
  | {
      readonly type: 'connection-retired'
      readonly connection: EventConnection
      readonly reason: RetireReason
      readonly cause: unknown
    }
  /** The socket of a retired connection is closed. */
  | { readonly type: 'connection-closed'; readonly connection: EventConnection }
  /** Every connection that was opened so far must not be leased again. */
  | {
      readonly type: 'pool-invalidated'
      /** The generation of the connections that are opened from now on. */
      readonly generation: number
      readonly cause: unknown
      /** Whether `invalidate()` was called; otherwise a connection was lost. */
      readonly wasAsked: boolean
    }
  /** `dispose()` was called: the pool has let go of the connections that were opened so far. */
  | { readonly type: 'pool-disposed'; readonly generation: number }
  /** The process was suspended, or its clock was set: every connection must answer a ping before its next lease. */
  | { readonly type: 'process-suspended' }
  /** The pool was made in another process. Its connections belong to that process, and are dropped without being closed. */
  | {
      readonly type: 'process-changed'
      /** The process id of the other process. */
      readonly from: number
      /** The process id of this process. */
      readonly to: number
    }
  /** The pools of this service can open more connections than the server grants. Once per pool. */
  | {
      readonly type: 'capacity-exceeded'
      readonly max: number
      /** How many processes with such a pool are known. */
      readonly workers: number
      /** How many connections the server, the role and the database grant. */
      readonly available: number
    }
  /** A statement of `pool.query` has begun a transaction. No other statement will be in it; it ends with the lease. */
  | { readonly type: 'transaction-left-open' }
  /** A connection was opened after attempts that failed, or after the loss of all connections. */
  | {
      readonly type: 'recovered'
      /** The time since the first of these attempts began. */
      readonly afterMillis: number
      /** How many attempts failed in between; 0 if the first one succeeded. */
      readonly failedAttempts: number
    }
  /** A transaction runs again as a whole. The attempt before wrote nothing. */
  | ({ readonly type: 'transaction-retried' } & Rerun)
  /** A statement of `pool.query` runs again. */
  | ({
      readonly type: 'statement-retried'
      /** `idempotent`, `never-ran` or `stale-session`. */
      readonly reason: StatementRetryReason
    } & Rerun)
  /** The answer to a COMMIT was lost, and the pool has asked for the outcome. */
  | {
      readonly type: 'commit-resolved'
      /** The connection that was lost. */
      readonly connection: EventConnection
      /** `committed`, `aborted` or `unknown`. */
      readonly verdict: 'committed' | 'aborted' | 'unknown'
      /** Why the outcome is unknown; otherwise undefined. */
      readonly reason: string | undefined
      readonly tookMillis: number
    }
  /** The session of a lost connection was still in its transaction, and was terminated to free its locks. */
  | {
      readonly type: 'session-fenced'
      /** The `pid` of the session in `pg_stat_activity`. */
      readonly backendPid: number
      readonly tookMillis: number
    }
  /** `end()` is done: no connection is open. */
  | { readonly type: 'pool-closed' }

/** Something that failed and runs again. */
interface Rerun {
  /** The number of the attempt that begins; 2 is the first retry. */
  readonly attempt: number
  /** Why the attempt before failed. */
  readonly error: unknown
  /** How long ago the attempt before failed. */
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
