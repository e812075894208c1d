import { DEAD, type DeadVerdict } from '../policy/death.ts'
import { RETIRE_REASONS, type RetireReason } from '../policy/retirement.ts'

/**
 * What a pool has counted since it was made. All numbers only grow, so that their differences are rates; durations are sums in
 * milliseconds. It is plain data: `JSON.stringify` shows all of it.
 */
export interface PoolStats {
  /** The option `name`. */
  readonly name: string
  /** For how long the pool has counted: since it was made. */
  readonly uptimeMillis: number
  /**
   * Callers that asked for a connection: `connect()`, `query()`, `transaction()`. A statement or a transaction that runs again asks
   * again. Those that still wait aren't counted.
   */
  readonly acquires: {
    /** All of the following. */
    readonly total: number
    /** Got a connection at once. */
    readonly ready: number
    /** Got a connection after they had waited for it. */
    readonly waited: number
    /** Gave up by their signal. */
    readonly cancelled: number
    /** Got none before their deadline (`PoolTimeoutError`, `PoolDeadlockError`, `TransactionTimeoutError`). */
    readonly timedOut: number
    /** Were told early that they get none: `maxWaiting`, `shedding`, a closed pool, a server that refuses for good. */
    readonly refused: number
    /** How long those that got a connection have waited, together. */
    readonly waitMillis: number
  }
  /** Leases that have ended. */
  readonly leases: {
    readonly ended: number
    /** How long they have lasted, together. Reads that share a connection (`maxPipeline`) have one lease. */
    readonly useMillis: number
  }
  readonly connections: {
    /** Were opened, and their `onConnect` has run. */
    readonly opened: number
    /** Attempts to connect that failed. */
    readonly connectFailed: number
    /** Have left the pool, by the reason. */
    readonly retired: Readonly<Record<RetireReason, number>>
    /** Died, by the `code` of the cause: a SQLSTATE or an errno; `other` if it has none. Lists only those that occurred. */
    readonly lost: Readonly<Record<string, number>>
  }
  /** Pings of idle connections, before a lease or by `keepaliveMillis`. */
  readonly pings: { readonly answered: number; readonly failed: number }
  /** Sessions that were reset after a lease. A clean session needs no reset. */
  readonly resets: number
  /** What ran again: transactions as a whole, single statements, and plain reads. */
  readonly retries: { readonly transactions: number; readonly statements: number; readonly reads: number }
  /** Lost COMMITs that were asked for, by the outcome. */
  readonly commits: { readonly committed: number; readonly aborted: number; readonly unknown: number }
  /** Connections that the `watch` has found dead under a statement, by the verdict. */
  readonly watch: Readonly<Record<DeadVerdict, number>>
  readonly statements: {
    /** Were sent under a name that the pool gave (`prepare`). */
    readonly prepared: number
    /** Were sent behind others on a connection (`maxPipeline`). */
    readonly multiplexed: number
  }
}

/** What may be a key of `lost`: no more than that, since a server may send anything. */
const CODE = /^[0-9A-Z_]{1,40}$/
const MOST_CODES = 50

/**
 * What is measured: how long a caller has waited for a connection (0 if one was ready), how long a lease has lasted, and how long
 * opening a connection took.
 */
export type Measured = 'wait' | 'use' | 'create'

/** Is told each duration, in milliseconds. */
export type MeasureListener = (measured: Measured, millis: number) => void

/** The counters of a pool. They are plain fields that are incremented where things happen, so that counting costs next to nothing. */
export class Counts {
  /** When the pool was made. */
  since = 0
  ready = 0
  waited = 0
  waitMillis = 0
  cancelled = 0
  timedOut = 0
  refused = 0
  leasesEnded = 0
  useMillis = 0
  opened = 0
  connectFailed = 0
  pingsAnswered = 0
  pingsFailed = 0
  resets = 0
  transactionsRetried = 0
  statementsRetried = 0
  readsRetried = 0
  prepared = 0
  multiplexed = 0
  readonly retired: Record<RetireReason, number> = zeros(RETIRE_REASONS)
  readonly commits: Record<'committed' | 'aborted' | 'unknown', number> = zeros(['committed', 'aborted', 'unknown'])
  readonly dead: Record<DeadVerdict, number> = zeros(Object.keys(DEAD) as DeadVerdict[])
  readonly #lost = new Map<string, number>()
  readonly #listeners = new Set<MeasureListener>()
  /** Undefined unless something listens: one look at a field is all that it costs then. */
  #measure: MeasureListener | undefined

  /** Tells this listener each duration from now on. Returns a function that ends it. */
  measure(listener: MeasureListener): () => void {
    const listeners = this.#listeners
    listeners.add(listener)
    this.#measure = (measured, millis) => {
      for (const each of listeners) each(measured, millis)
    }
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#measure = undefined
    }
  }

  /** A caller got a connection at once. */
  readyAtOnce(): void {
    this.ready++
    this.#measure?.('wait', 0)
  }

  /** A connection was opened. */
  wasOpened(tookMillis: number): void {
    this.opened++
    this.#measure?.('create', tookMillis)
  }

  /** A lease has ended. */
  leaseEnded(useMillis: number): void {
    this.leasesEnded++
    this.useMillis += useMillis
    this.#measure?.('use', useMillis)
  }

  /** A caller got a connection after it had waited for it. */
  served(waitMillis: number): void {
    this.waited++
    this.waitMillis += waitMillis
    this.#measure?.('wait', waitMillis)
  }

  /** A connection died of a cause with this code. */
  noteLost(code: string | undefined): void {
    const isKey = code !== undefined && CODE.test(code) && (this.#lost.has(code) || this.#lost.size < MOST_CODES)
    const key = isKey ? code : 'other'
    this.#lost.set(key, (this.#lost.get(key) ?? 0) + 1)
  }

  /** A copy of this moment, frozen. */
  snapshot(name: string, now: number): PoolStats {
    const { ready, waited, cancelled, timedOut, refused, waitMillis } = this
    const total = ready + waited + cancelled + timedOut + refused
    return frozen({
      name,
      uptimeMillis: now - this.since,
      acquires: { total, ready, waited, cancelled, timedOut, refused, waitMillis },
      leases: { ended: this.leasesEnded, useMillis: this.useMillis },
      connections: {
        opened: this.opened,
        connectFailed: this.connectFailed,
        retired: { ...this.retired },
        lost: Object.fromEntries(this.#lost),
      },
      pings: { answered: this.pingsAnswered, failed: this.pingsFailed },
      resets: this.resets,
      retries: {
        transactions: this.transactionsRetried,
        statements: this.statementsRetried,
        reads: this.readsRetried,
      },
      commits: { ...this.commits },
      watch: { ...this.dead },
      statements: { prepared: this.prepared, multiplexed: this.multiplexed },
    })
  }
}

function zeros<Key extends string>(keys: readonly Key[]): Record<Key, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>
}

function frozen<Data extends object>(data: Data): Data {
  for (const value of Object.values(data)) if (typeof value === 'object') frozen(value as object)
  return Object.freeze(data)
}
