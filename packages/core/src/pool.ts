import pg, { type PoolConfig, type QueryResult } from 'pg'
import { composeEngine } from './compose.ts'
import { addressIn, clientThatListens } from './connection/listening-client.ts'
import type { LeasedClient } from './connection/physical-client.ts'
import type { Engine } from './engine/engine.ts'
import { PoolClosedError } from './errors.ts'
import { ForeignConnect } from './foreign-connect.ts'
import type { NotificationHandler } from './listen/handlers.ts'
import type { AcquireOptions, DisposeOptions, DrainOptions } from './options/call-options.ts'
import { resolveDispose, resolveDrain } from './options/call-options.ts'
import { showCurrentHost, withHosts } from './options/hosts.ts'
import { OPTIONS } from './options/option-table.ts'
import type { PoolOptions } from './options/pool-options.ts'
import { type ResolvedOptions, resolveOptions } from './options/resolved-options.ts'
import { copyOptions, showOptions } from './options/secrets.ts'
import {
  acquireOptionsFor,
  acquireOptionsIn,
  type ConnectCallback,
  ConnectCallbackWaiter,
  ConnectWaiter,
  giveTo,
  QueryWaiter,
  type ResultCallback,
} from './pool-callers.ts'
import { countsOn, healthOn } from './pool-health.ts'
import { inspectListening, type ListenOptions, listen, type Subscription, stopListening } from './pool-listen.ts'
import type { PgPoolClass } from './pool-query.ts'
import { connectAfter } from './replicas/connect-after.ts'
import { type ReaderTerms, readerOptions, readerTermsOf } from './replicas/reader-terms.ts'
import { systemClock } from './runtime/clock.ts'
import { currentScope } from './runtime/pool-options-scope.ts'
import { failure, stackAbove } from './runtime/stack.ts'
import type { PoolStats } from './telemetry/counts.ts'
import { type ConnectionInspection, inspectionOf, type PoolStatus, statusOf } from './telemetry/status.ts'
import { transactionOn } from './transaction/pool-transaction.ts'
import { runSpecially, type StatementSettings, type StatementSource } from './transaction/run-statement.ts'
import type { TransactionFunction } from './transaction/transaction.ts'
import type { TransactionOptions } from './transaction/transaction-options.ts'

const PgPool: PgPoolClass = pg.Pool as unknown as PgPoolClass

let privateEngineOf: (pool: Pool) => Engine

/** The engine of a pool, for other parts of the package. */
export function engineOf(pool: Pool): Engine {
  return privateEngineOf(pool)
}

/**
 * A resilient connection pool with the surface of `pg.Pool`: the same methods, the same events, and an `instanceof pg.Pool`.
 * It decides nothing: the engine does.
 *
 * @example
 * ```ts
 * await using pool = new Pool({ connectionString: process.env.DATABASE_URL })
 * const { rows } = await pool.query('select now()')
 * ```
 */
export class Pool extends PgPool implements AsyncDisposable {
  // Drizzle recognizes a pool by its class name where `instanceof` fails (two copies of pg), also when it is minified.
  static {
    Object.defineProperty(Pool, 'name', { value: 'Pool' })
    privateEngineOf = (pool) => pool.#engine
    // Defined here, because pg's types declare `query` by signatures that we don't repeat.
    Object.defineProperties(Pool.prototype, {
      query: {
        configurable: true,
        writable: true,
        value: function query(this: Pool, first: unknown, values?: unknown, callback?: unknown): unknown {
          return this.#query(first, values, callback)
        },
      },
      // What pg-pool's own `connect` ends in, when an instrumentation has wrapped it.
      _isFull: { value: () => false },
      newClient: {
        value(this: Pool, { callback }: { callback: ConnectCallback }) {
          connectFor(this, this.#engine, callback, this.#foreignConnect.options)
        },
      },
    })
  }

  readonly #engine: Engine
  readonly #options: ResolvedOptions
  readonly #statementSettings: StatementSettings
  #ended: Promise<void> | undefined
  #isEndAsked = false
  readonly #foreignConnect = new ForeignConnect()
  readonly #reader: Pool | undefined
  readonly #terms: ReaderTerms | undefined // If it is the reader of another one.

  /** @throws {OptionsError} that names every option that can't work. */
  constructor(options: PoolOptions = {}) {
    const terms = readerTermsOf(options)
    const resolved = terms?.options ?? resolveOptions(options)
    const given = withHosts(copyOptions(options), resolved)
    super(given as PoolConfig)
    this.#terms = terms
    this.#options = resolved
    Object.assign(this, { Client: clientThatListens((options.Client ?? undefined) as typeof pg.Client | undefined) })
    showOptions(this.options, resolved, addressIn)
    this.#engine = composeEngine(this, given, resolved, () => clientConfig(this.options), terms)
    showCurrentHost(this.options, resolved.hosts, () => this.#engine.connector.hosts?.current)
    this.#statementSettings = statementSettingsOf(this.#engine, resolved)
    this.#reader = resolved.replicas && new Pool(readerOptions(options, resolved, this.#engine))
  }

  /**
   * The pool of the `replicas`, for what may read data that is a little old: `max` connections of its own, and the name of this
   * one with `-reader`. It ends with this one. Without `replicas` it is this one, so that the same program runs without any.
   */
  get reader(): Pool {
    return this.#reader ?? this
  }

  /**
   * Leases a connection: proven alive, clean, and yours alone until `release()`, or the end of an `await using`.
   *
   * @throws {PoolTimeoutError} when `connectionTimeoutMillis` passed first; it tells why.
   * @throws {PoolOverloadedError} when `maxWaiting` callers wait already.
   * @throws {ConnectError} when the server refuses, and would refuse again: password, database, certificate.
   * @throws {PoolClosedError} after `end()`.
   * @throws {OptionsError} that names every option that can't work.
   * @throws The reason of `signal`.
   */
  override connect(options?: AcquireOptions): Promise<LeasedClient>
  override connect(callback: ConnectCallback): void
  override connect(first?: AcquireOptions | ConnectCallback): Promise<LeasedClient> | undefined {
    const callback = typeof first === 'function' ? first : undefined
    let options: AcquireOptions | undefined
    try {
      options = acquireOptionsFor(typeof first === 'function' ? this.#foreignConnect.options : first)
    } catch (error) {
      if (!callback) return Promise.reject(error)
      process.nextTick(callback, error, undefined, () => {})
      return undefined
    }
    if (this.#reader && options?.target === 'reader') return this.#reader.connect(first as AcquireOptions)
    if (isInstrumented() && !this.ending) return this.#foreignConnect.connect(this, super.connect, callback, options)
    if (this.#terms && options?.after) {
      const terms = { ...options, after: options.after }
      const client = connectAfter(this.#engine, this.#terms, terms, callerStack(this.#options, this.connect))
      return callback ? giveTo(callback, client) : client
    }
    if (callback) {
      connectFor(this, this.#engine, callback, options)
      return undefined
    }
    const stack = callerStack(this.#options, this.connect)
    const ready = this.#engine.acquireNow(options || stack ? { options, stack } : undefined)
    return ready ? Promise.resolve(ready.clientForLease()) : connectLater(this.#engine, options, stack)
  }

  // biome-ignore lint/suspicious/noExplicitAny: one implementation for all signatures of `query`.
  #query(query: any, values: any, callback: any): any {
    if (this.#reader && currentScope()?.target === 'reader') return this.#reader.#query(query, values, callback)
    if (typeof query === 'function') {
      // What pg does, with the same text.
      process.nextTick(query, new Error('Passing a function as the first parameter to pool.query is not supported'))
      return undefined
    }
    const done: ResultCallback | undefined = typeof values === 'function' ? values : callback
    const parameters = typeof values === 'function' ? undefined : values
    const isCallback = typeof done === 'function'
    const third = isCallback ? undefined : done
    const special = runSpecially(this as StatementSource, this.#statementSettings, query, parameters, third)
    if (special) return isCallback ? callBack(special, done) : special
    if (done) return this.#run(query, parameters, done, false)
    return new Promise((resolve) => {
      this.#run(query, parameters, (error, result) => resolve(error ? failure(error) : result), true)
    })
  }

  /**
   * Runs `fn` in a transaction on a connection of its own: committed when it resolves, rolled back when it rejects. Runs all
   * of it again when it is certain that nothing was written: see `retry`.
   *
   * @example
   * ```ts
   * const balance = await pool.transaction(async (tx) => {
   *   const { rows } = await tx.query('update account set balance = balance - $1 where id = $2 returning balance', [5, 1])
   *   return rows[0].balance
   * }, { isolationLevel: 'serializable' })
   * ```
   *
   * @throws What `fn` throws.
   * @throws {TransactionRolledBackError} when `fn` swallowed the error of a statement: nothing was written.
   * @throws {ConnectionLostError} when the connection died: `commitOutcome` tells whether anything may be written.
   * @throws The reason of `signal`, if that was aborted before COMMIT was sent: nothing was written.
   * @throws What `connect()` throws.
   */
  transaction<Result>(fn: TransactionFunction<Result>, options?: TransactionOptions): Promise<Result> {
    return transactionOn(this, fn, options, this.#options.closeTimeoutMillis)
  }

  /**
   * Invalidates every connection opened so far: idle ones close now, leased ones when they are released. Call it when you
   * know what the pool can't know: a failover, a changed role.
   */
  invalidate(cause?: unknown): void {
    this.#engine.invalidate(cause)
    this.#reader?.invalidate(cause)
  }

  /**
   * Drops every connection opened so far; the pool stays usable, and opens new ones. To close the pool itself, use `end()`
   * or `await using`. Call this before the process starts workers, or is frozen. Resolves when the idle connections are
   * closed; leased ones close when they are released.
   *
   * @throws {OptionsError} that names every option that can't work.
   */
  async dispose(options: DisposeOptions = {}): Promise<void> {
    await Promise.all([this.#engine.dispose(resolveDispose(options)), this.#reader?.dispose(options)])
  }

  /** The counts of this moment. As a string, it reads like SQLAlchemy's `pool.status()`. */
  status(): PoolStatus {
    return poolStatus(this.#engine, this.#options, this.#ended !== undefined)
  }

  /** What the pool has counted since it was made, for metrics: numbers that only grow. A frozen copy. */
  stats(): PoolStats {
    return this.#engine.publisher.counts.snapshot(this.#options.name, systemClock.now())
  }

  /**
   * Calls `handler` with each notification of a channel (LISTEN), over a connection of its own, beside `max`. When that is lost,
   * another one listens, and `onReconnect` is told of the gap. Resolves when the server listens.
   *
   * @throws {OptionsError} that names what can't work, also behind a pooler; ListenTimeoutError after `connectionTimeoutMillis`.
   */
  listen(channel: string, handler: NotificationHandler, options?: ListenOptions): Promise<Subscription> {
    return listen(this.#engine, channel, handler, options)
  }

  /** Each connection, with the pid of its backend, to be compared with `pg_stat_activity`. */
  inspect(): ConnectionInspection[] {
    return inspectAll(this.#engine)
  }

  /**
   * Closes every connection: idle ones at once, leased ones when they are released. Callers that wait are refused, except
   * those for which a connection is on its way. After `closeTimeoutMillis` all that is left is destroyed, so this always
   * resolves.
   *
   * @throws {PoolClosedError} when called a second time.
   */
  override end(): Promise<void>
  override end(callback: (error?: Error) => void): void
  override end(callback?: (error?: Error) => void): Promise<void> | undefined {
    const again = this.#isEndAsked && Promise.reject(new PoolClosedError('Called end on pool more than once'))
    const ended = again || this.#end()
    this.#isEndAsked = true
    if (!callback) return ended
    ended.then(() => callback(), callback)
    return undefined
  }

  /**
   * For a graceful shutdown: gives the pool `millis` more. Until then every caller is served, also new ones. Then the pool
   * closes: callers that wait are refused, and statements that run are cut off. Resolves with true as soon as nothing is in
   * use and no caller waits (then call `end()`). Resolves with false, when all is closed, if the time was up before. A second
   * call can only shorten the time. With `{ close: false }` it only waits, and closes nothing: for a pool that is shared.
   *
   * @throws {OptionsError} when `millis` isn't a number from 0 to 2^31 - 1, or an option can't work.
   */
  async drain(millis: number, options: DrainOptions = {}): Promise<boolean> {
    const end = resolveDrain(millis, options) ? () => void this.#end() : undefined
    const drained = await Promise.all([this.#engine.drain(millis, end), this.#reader?.drain(millis, options)])
    return !drained.includes(false)
  }

  /** Ends the pool, or waits for the end that is under way: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEndAsked = true
    await this.#end()
  }

  #end(): Promise<void> {
    if (this.#ended) return this.#ended
    // pg-pool's lists are always empty. It is called because an instrumentation may have wrapped it.
    super.end(() => {})
    Object.assign(this, { ended: false })
    const readerEnded = this.#reader?.[Symbol.asyncDispose]()
    this.#ended = Promise.all([this.#engine.close(), stopListening(this.#engine), readerEnded]).then(() => {
      Object.assign(this, { ended: true })
    })
    return this.#ended
  }

  #run(query: unknown, values: unknown[] | undefined, done: ResultCallback, isPromise: boolean): void {
    if (this.connect !== ownConnect || isInstrumented() || (this.#terms && currentScope()?.after))
      return this.#foreignConnect.query(this, this.#engine, query, values, done)
    const options = acquireOptionsFor(acquireOptionsIn(query))
    const stack = callerStack(this.#options, this.query)
    this.#engine.acquire(new QueryWaiter(query, values, done, isPromise, this.#engine, options, stack))
  }
}

/** Not in a reaction of the promise: what the callback throws is an uncaught exception, as with pg. */
function callBack(result: Promise<QueryResult>, done: ResultCallback): undefined {
  result.then(
    (answer) => process.nextTick(done, undefined, answer),
    (error) => process.nextTick(done, error),
  )
}

/** A separate function: its closure costs nothing where a connection is ready. */
function connectLater(
  engine: Engine,
  options: AcquireOptions | undefined,
  stack: string | undefined,
): Promise<LeasedClient> {
  return new Promise((resolve) => engine.acquire(new ConnectWaiter(resolve, options, stack)))
}

function connectFor(pool: Pool, engine: Engine, callback: ConnectCallback, options: AcquireOptions | undefined): void {
  engine.acquire(new ConnectCallbackWaiter(callback, options, callerStack(engine.options, pool.connect)))
}

/** The stack of the caller, which is expensive, so only if leaks are reported. */
export function callerStack(
  options: { readonly leakDetectionMillis: number },
  method: (...args: never[]) => unknown,
): string | undefined {
  return options.leakDetectionMillis === Number.POSITIVE_INFINITY ? undefined : stackAbove('Acquired here', method)
}

function statementSettingsOf({ publisher }: Engine, options: ResolvedOptions): StatementSettings {
  const { transactionalWrites, closeTimeoutMillis: rollbackMillis } = options
  return { publisher, transactionalWrites, rollbackMillis }
}

function inspectAll(engine: Engine): ConnectionInspection[] {
  const now = systemClock.now()
  const budget = engine.capacity?.budget
  const slots = engine.inventory.all().map((each) => inspectionOf(each, now, budget?.slotOf(each)))
  return [...slots, ...inspectListening(engine)]
}

function poolStatus(engine: Engine, options: ResolvedOptions, isClosed: boolean): PoolStatus {
  const { inventory, waitingCount, connector, capacity } = engine
  const { name, max, maxIdle } = options
  const { longestLease, ...counts } = inventory.occupancy(systemClock.now())
  const { size } = inventory
  const counted = {
    name,
    pid: process.pid,
    max,
    maxIdle,
    size,
    ...counts,
    waiting: waitingCount,
    listening: inspectListening(engine).length,
    isClosed,
    pooler: connector.pooler.kind,
  }
  const { hosts } = connector
  const budget = capacity?.budget && { budget: capacity.budget.status }
  return statusOf({ ...counted, ...budget, ...(hosts && options.hosts.length > 0 && { hosts: hosts.status }) })
}

/** The options that concern pg's client. Its timeouts are left out: those of the pool replace them. */
function clientConfig(options: pg.PoolOptions): PoolConfig {
  const { connectionTimeoutMillis, query_timeout, ...config } = copyOptions(options)
  return {
    keepAlive: OPTIONS.keepAlive.default,
    keepAliveInitialDelayMillis: OPTIONS.keepAliveInitialDelayMillis.default,
    ...config,
  }
}

/** Instrumentations wrap pg-pool's `connect`, and shimmer marks what it has wrapped. */
export function isInstrumented(): boolean {
  return '__original' in pgPool.connect
}

Object.defineProperties(Pool.prototype, { ...healthOn(engineOf), ...countsOn(engineOf) })

const ownConnect = Pool.prototype.connect
const pgPool = pg.Pool.prototype
