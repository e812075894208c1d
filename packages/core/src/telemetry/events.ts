import type { PoolClient } from 'pg'
import type { Loss } from '../errors.ts'
import type { OwnOptions } from '../options/pool-options.ts'
import type { DeadVerdict } from '../policy/death.ts'
import type { SessionNeed } from '../policy/pooler.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { stackOf } from '../thrown.ts'
import { Counts } from './counts.ts'
import { escaped } from './log-text.ts'

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
  /** An attempt to connect failed. Another one may follow. `openCount` connections of the pool are open, and serve the callers. */
  | { readonly type: 'connect-failed'; readonly error: unknown; readonly openCount: number }
  /** A connection has answered a ping: before a lease, or while it was idle (`keepaliveMillis`). */
  | { readonly type: 'connection-pinged'; readonly connection: EventConnection; readonly tookMillis: number }
  /** A caller got a connection. */
  | { readonly type: 'connection-leased'; readonly connection: EventConnection; readonly waitedMillis: number }
  /** A caller got no connection: it timed out, gave up or was refused, or the server could not be reached. */
  | { readonly type: 'acquire-failed'; readonly error: unknown; readonly waitedMillis: number }
  /** Callers are refused that have waited for `targetMillis`: see the option `shedding`. Once each time that it begins. */
  | { readonly type: 'pool-overloaded'; readonly waiting: number; readonly targetMillis: number }
  /** A lease lasts longer than `leakDetectionMillis`. Once per lease. */
  | {
      readonly type: 'connection-leak-suspected'
      readonly connection: EventConnection
      readonly heldMillis: number
      /** Where the connection was acquired. */
      readonly stack: string | undefined
      /** What the lease is used for, as in `inspect()`. */
      readonly label: string | undefined
      readonly statement: string | undefined
      readonly transaction: 'open' | 'failed' | undefined
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
  /** A statement was in flight in silence, and its connection was found dead. `connection-lost` follows. */
  | ({ readonly type: 'connection-declared-dead'; readonly connection: EventConnection } & DeadStatement)
  /** The watch can't tell slow statements from dead connections: why. Once per pool. */
  | { readonly type: 'watch-limited'; readonly reason: WatchLimit }
  /** A connection left the pool for good. Its slot is free. */
  | {
      readonly type: 'connection-retired'
      readonly connection: EventConnection
      readonly reason: RetireReason
      readonly cause: unknown
    }
  /** The socket of a retired connection is closed. */
  | { readonly type: 'connection-closed'; readonly connection: EventConnection }
  /** Connections of older generations are not leased again. */
  | {
      readonly type: 'pool-invalidated'
      /** The oldest generation that is still leased. A new generation begins whenever the others become suspects, too. */
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
  /**
   * The server can't be asked what the pools that share the budget need: the pool keeps the `openCount` connections that it has, and opens
   * none until it can. Or the server can't be asked at all: `error` is a `BudgetError`. Once per pool.
   */
  | { readonly type: 'budget-unanswered'; readonly budget: string; readonly error: unknown; readonly openCount: number }
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
  /**
   * New connections lead to another host than those before: a failover, or the host that suits is back. Not published where the
   * hosts share the connections (`loadBalanceHosts`), except when those of `pool.reader` go to the primary, and when they are back.
   */
  | {
      readonly type: 'host-changed'
      readonly from: EventHost
      readonly to: EventHost
      /** What the server has said it is; undefined if it hasn't. */
      readonly role: 'primary' | 'standby' | 'read-only' | undefined
    }
  /** A pooler was found in front of the server, or that it gives each transaction another session. */
  | {
      readonly type: 'pooler-found'
      /** `transaction`: it gives each transaction a session of the server; `some`: so it does, or each connection. */
      readonly pooler: 'some' | 'transaction'
      /**
       * `process`: another one serves a session than its login has named, or than before; `words`: what only a pooler says.
       */
      readonly by: 'process' | 'words'
      /** The option `pooler`. */
      readonly option: NonNullable<OwnOptions['pooler']>
    }
  /** Something needs a session of its own, and the pooler gives each transaction another one. Once per pool and `need`. */
  | {
      readonly type: 'session-needed'
      /** `listen`: LISTEN; `lock`: an advisory lock of the session; `reset`: `resetOnReturn: 'session'` or `'discard'`. */
      readonly need: SessionNeed
    }
  /**
   * A host takes writes, although another one of its system was promoted: it has missed that failover, and what is written there will
   * be lost. The pool doesn't use it.
   */
  | {
      readonly type: 'former-primary'
      readonly host: EventHost
      /** Its timeline, and that of the promoted one, as PostgreSQL writes them: eight hexadecimal digits. */
      readonly timeline: string
      readonly highest: string
    }
  /** A standby has refused a write, and no host has taken one: `targetSessionAttrs` is `'any'`. Once per pool. */
  | { readonly type: 'standby-refused-write'; readonly host: EventHost }
  /** A transaction runs again as a whole. The attempt before wrote nothing. */
  | ({ readonly type: 'transaction-retried' } & Rerun)
  /** A statement of `pool.query`, or the first one of a client, runs again. */
  | ({
      readonly type: 'statement-retried'
      /** `idempotent`, `never-ran`, `plain-read`, `rolled-back`, `stale-session` or `stalled`. */
      readonly reason: StatementRetryReason
    } & Rerun)
  /** A text that the pool itself prepared (`prepare`) is no longer prepared in this pool, or no text is. */
  | {
      readonly type: 'prepare-stopped'
      /**
       * `slower`: the server plans it once for all values, which suits it badly; `changes-often`: its tables are other ones each
       * time; `names-lost`: prepared statements vanish, as behind a pooler, so that no text is prepared.
       */
      readonly reason: 'slower' | 'changes-often' | 'names-lost'
      /** Undefined if it is all of them. */
      readonly text: string | undefined
      /** How long it took under its name, and without, if that is the reason. */
      readonly namedMillis: number | undefined
      readonly unnamedMillis: number | undefined
    }
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
  /** The connection over which `pool.listen()` listens was lost. Until `listening-again`, nothing is heard. */
  | {
      readonly type: 'listening-lost'
      /** How many channels are listened to. */
      readonly channels: number
      readonly cause: unknown
    }
  /** Another connection listens. */
  | {
      readonly type: 'listening-again'
      /** How many channels are listened to. */
      readonly channels: number
      /** How long notifications may have been missed. */
      readonly gapMillis: number
    }
  /** `end()` is done: no connection is open. */
  | { readonly type: 'pool-closed' }

/** A host of the pool's list. */
export interface EventHost {
  readonly host: string
  readonly port: number
}

/** What the watch found out about a statement whose connection is dead. */
export interface DeadStatement {
  /** See `DeadVerdict`. */
  readonly verdict: DeadVerdict
  /** The `state` of the session in `pg_stat_activity`; undefined if there is none, or it couldn't be asked. */
  readonly state: string | undefined
  /** How long ago the last byte came, or the statement was sent. */
  readonly silentMillis: number
}

/**
 * Why the watch can't look at a session:
 * - `not-direct`: its process isn't the one that the protocol names, as behind a pooler; or it couldn't be asked;
 * - `insufficient-privilege`: the role may not see it in `pg_stat_activity`, or `track_activities` is off;
 * - `another-server`: another server answers.
 */
export type WatchLimit = 'not-direct' | 'insufficient-privilege' | 'another-server'

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
 * Why a statement may run again:
 * - `gave-way`: the pool had the server cancel it, since a write was behind it on their connection (`pipelineWrites`);
 * - `idempotent`: its caller says that running it twice is harmless;
 * - `never-ran`: it wasn't sent, never arrived, or was refused before anything of it ran;
 * - `plain-read`: it only reads, and the server guarantees that it does;
 * - `rolled-back`: the server ended it before it was complete, so nothing of it is written;
 * - `stale-session`: the state of the session prevented it (a cached plan, a dropped prepared statement), and nothing ran;
 * - `stalled`: a plain read that shares a connection (`maxPipeline`) waits behind one that takes long, so it runs on another one, too.
 */
export type StatementRetryReason =
  | 'gave-way'
  | 'idempotent'
  | 'never-ran'
  | 'plain-read'
  | 'rolled-back'
  | 'stale-session'
  | 'stalled'

/** What may have happened to the process: it was suspended, or it is a copy of the process that made the pool. */
export type Interruption = Extract<PoolEvent, { type: 'process-suspended' | 'process-changed' }>

/** One kind of event. */
export type PoolEventType = PoolEvent['type']

/** Is called with every event that it wants. It must not throw; if it does, the pool warns and goes on. */
export type Subscriber = (event: PoolEvent) => void

/**
 * Whether a subscriber wants this type of event: always, never, or a question to ask each time. An event that no subscriber
 * wants isn't even created.
 */
export type Wants = (type: PoolEventType) => boolean | (() => boolean)

/** A subscriber, and the events that it wants. */
export interface Listener {
  readonly subscriber: Subscriber
  readonly wants: Wants
}

const always = (): boolean => true
const never = (): boolean => false

/** Publishes what happens in a pool. The engine doesn't know the listeners. */
export class Publisher {
  /** What is so frequent that it is counted without an event, and the rest of the counters. */
  readonly counts: Counts = new Counts()
  readonly #listeners: Listener[] = []
  readonly #poolName: string

  constructor(poolName: string) {
    this.#poolName = poolName
  }

  /** Adds a subscriber for the life of the pool. */
  subscribe(subscriber: Subscriber, wants: Wants = always): void {
    this.#listeners.push({ subscriber, wants })
  }

  /**
   * Returns a question to keep and to ask each time: does a listener want this type of event? It covers the listeners that
   * have subscribed so far. For events so frequent that creating them costs too much.
   */
  hasListener(type: PoolEventType): () => boolean {
    return this.#listeners.map(({ wants }) => questionOf(wants, type)).reduce(either, never)
  }

  /** Calls every subscriber that wants the event. */
  publish(event: PoolEvent): void {
    for (const { subscriber, wants } of this.#listeners) {
      try {
        if (questionOf(wants, event.type)()) subscriber(event)
      } catch (error) {
        warnOfListener(`A listener of pool '${escaped(this.#poolName)}' threw on ${event.type}`, error)
      }
    }
  }
}

/** Tells that a listener threw. Its bug must cost neither a connection nor the caller that waits for it. */
export function warnOfListener(what: string, error: unknown): void {
  process.emitWarning(`${what}: ${stackOf(error)}`, { type: 'HoldfastWarning', code: 'HOLDFAST_LISTENER_THREW' })
}

function questionOf(wants: Wants, type: PoolEventType): () => boolean {
  const answer = wants(type)
  if (typeof answer === 'function') return answer
  return answer ? always : never
}

/** Composes one closure of two: this is on the engine's fastest path, and a loop over a list costs three times as much. */
function either(one: () => boolean, other: () => boolean): () => boolean {
  if (one === never || other === always) return other
  return other === never ? one : () => one() || other()
}
