import pg, {
  type PoolConfig,
  type QueryArrayConfig,
  type QueryArrayResult,
  type QueryConfig,
  type QueryConfigValues,
  type QueryResult,
  type QueryResultRow,
  type Submittable,
} from 'pg'
import { composeEngine } from './compose.ts'
import { addressIn, clientThatListens } from './connection/listening-client.ts'
import type { LeasedClient } from './connection/physical-client.ts'
import { failure, stackAbove } from './connection/stack.ts'
import type { Engine } from './engine/engine.ts'
import { PoolClosedError } from './errors.ts'
import type { AcquireOptions } from './options/acquire-options.ts'
import { DEFAULTS } from './options/defaults.ts'
import { type DisposeOptions, resolveDispose } from './options/dispose-options.ts'
import { type DrainOptions, resolveDrain } from './options/drain-options.ts'
import type { PoolOptions } from './options/pool-options.ts'
import { resolveOptions } from './options/resolve-options.ts'
import type { ResolvedOptions } from './options/resolved-options.ts'
import { copyOptions, showOptions } from './options/secrets.ts'
import {
  acquireOptionsFor,
  acquireOptionsIn,
  CallbackCall,
  ConnectCall,
  type ConnectCallback,
  QueryCall,
  type ResultCallback,
  runThrough,
} from './pool-callers.ts'
import { systemClock } from './runtime/clock.ts'
import { type ConnectionInspection, inspectionOf } from './telemetry/inspect.ts'
import { type PoolStatus, statusOf } from './telemetry/status.ts'
import { transactionOn } from './transaction/on-pool.ts'
import { runSpecially, type StatementOptions, type StatementSource } from './transaction/run-statement.ts'
import type { TransactionFunction } from './transaction/transaction.ts'
import type { TransactionOptions } from './transaction/transaction-options.ts'

/**
 * A resilient connection pool with the surface of `pg.Pool`: the same calls, the same events, and it is one, for
 * those who ask `instanceof`. Decides nothing: the engine does.
 *
 * @example
 * ```ts
 * await using pool = new Pool({ connectionString: process.env.DATABASE_URL })
 * const { rows } = await pool.query('select now()')
 * ```
 */
export class Pool extends pg.Pool implements AsyncDisposable {
  // Drizzle knows a pool by its class name where `instanceof` fails (two copies of pg), minified or not.
  static {
    Object.defineProperty(Pool, 'name', { value: 'Pool' })
    // As accessors here, since TypeScript knows pg's own accessors as properties.
    Object.defineProperties(Pool.prototype, {
      totalCount: count((pool) => pool.#engine.inventory.size),
      idleCount: count((pool) => pool.#engine.inventory.idleCount),
      waitingCount: count((pool) => pool.#engine.waitingCount),
      expiredCount: count((pool) => pool.#engine.inventory.expiredCount(systemClock.now())),
      // What pg-pool's own `connect` ends in, when an instrumentation has put itself around it.
      _isFull: { value: () => false },
      newClient: {
        value(this: Pool, { callback }: { callback: ConnectCallback }) {
          this.#connectFor(callback, this.#asked)
        },
      },
    })
  }

  readonly #engine: Engine
  readonly #options: ResolvedOptions
  #ended: Promise<void> | undefined
  #isEndAsked = false
  /** What the `connect` that is under way through pg-pool's own was asked for. */
  #asked: AcquireOptions | undefined

  /** @throws {OptionsError} that names every option that can't work. */
  constructor(options: PoolOptions = {}) {
    const resolved = resolveOptions(options)
    const given = copyOptions(options)
    super(given as PoolConfig)
    this.#options = resolved
    Object.assign(this, { Client: clientThatListens((options.Client ?? undefined) as typeof pg.Client | undefined) })
    showOptions(this.options, resolved, addressIn)
    this.#engine = composeEngine(this, given, resolved, () => this.#clientConfig())
  }

  /**
   * Leases a connection: proven alive, clean, and for you alone until `release()`, or the end of an `await using`.
   *
   * @throws {PoolTimeoutError} when `connectionTimeoutMillis` passed first; it tells why.
   * @throws {PoolOverloadedError} when `maxWaiting` callers wait already.
   * @throws {ConnectError} when the server refuses for good: password, database, certificate.
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
      options = acquireOptionsFor(typeof first === 'function' ? this.#asked : first)
    } catch (error) {
      if (!callback) return Promise.reject(error)
      process.nextTick(callback, error, undefined, () => {})
      return undefined
    }
    if (isInstrumented() && !this.ending) return this.#connectInstrumented(callback, options)
    if (callback) {
      this.#connectFor(callback, options)
      return undefined
    }
    const stack = this.#whoAsks(this.connect)
    const ready = this.#engine.acquireNow(options || stack ? { options, stack } : undefined)
    return ready ? Promise.resolve(ready.clientForLease()) : this.#connectLater(options, stack)
  }

  /**
   * Runs one statement on whichever connection is free. A plain SQL error leaves the connection in the pool.
   *
   * With `idempotent` it is sent again when its connection is lost; with `transactional` it runs as a transaction of its own,
   * whose outcome is found out.
   *
   * @throws {ConnectionLostError} when the connection died while the statement ran: `sent` and `commitOutcome` tell.
   * @throws {OptionsError} that names every option that can't work.
   * @throws The reason of `signal`.
   * @throws What `connect()` throws.
   */
  override query<T extends Submittable>(queryStream: T): T
  // biome-ignore lint/suspicious/noExplicitAny: the signatures of pg.Pool, to the letter.
  override query<R extends any[] = any[], I = any[]>(
    queryConfig: QueryArrayConfig<I>,
    values?: QueryConfigValues<I>,
  ): Promise<QueryArrayResult<R>>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends QueryResultRow = any, I = any[]>(queryConfig: QueryConfig<I>): Promise<QueryResult<R>>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends QueryResultRow = any, I = any[]>(
    queryTextOrConfig: string | QueryConfig<I>,
    values?: QueryConfigValues<I>,
  ): Promise<QueryResult<R>>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends any[] = any[], I = any[]>(
    queryConfig: QueryArrayConfig<I>,
    callback: (err: Error, result: QueryArrayResult<R>) => void,
  ): void
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends QueryResultRow = any, I = any[]>(
    queryTextOrConfig: string | QueryConfig<I>,
    callback: (err: Error, result: QueryResult<R>) => void,
  ): void
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends QueryResultRow = any, I = any[]>(
    queryText: string,
    values: QueryConfigValues<I>,
    callback: (err: Error, result: QueryResult<R>) => void,
  ): void
  // biome-ignore lint/suspicious/noExplicitAny: as above. With options; behind pg's own, so that the class stays its subtype.
  override query<R extends any[] = any[], I = any[]>(
    queryConfig: QueryArrayConfig<I> & StatementOptions,
    values?: QueryConfigValues<I>,
  ): Promise<QueryArrayResult<R>>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends QueryResultRow = any, I = any[]>(
    queryConfig: QueryConfig<I> & StatementOptions,
    values?: QueryConfigValues<I>,
  ): Promise<QueryResult<R>>
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  override query<R extends QueryResultRow = any, I = any[]>(
    queryTextOrConfig: string | QueryConfig<I>,
    values: QueryConfigValues<I> | undefined,
    options: StatementOptions,
  ): Promise<QueryResult<R>>
  // biome-ignore lint/suspicious/noExplicitAny: one implementation for all of them.
  override query(query: any, values?: any, callback?: any): any {
    if (typeof query === 'function') {
      // pg's way of telling, to the letter.
      process.nextTick(query, new Error('Passing a function as the first parameter to pool.query is not supported'))
      return undefined
    }
    const done: ResultCallback | undefined = typeof values === 'function' ? values : callback
    const { publisher } = this.#engine
    const special =
      typeof done === 'function' ? undefined : runSpecially(this as StatementSource, publisher, query, values, done)
    if (special) return special
    const parameters = typeof values === 'function' ? undefined : values
    if (done) return this.#run(query, parameters, done, false)
    return new Promise((resolve) => {
      this.#run(query, parameters, (error, result) => resolve(error ? failure(error) : result), true)
    })
  }

  /**
   * Runs `fn` in a transaction on a connection of its own: committed when it resolves, rolled back when it rejects. Runs it
   * again, as a whole, when it is certain that nothing was written: see `retry`.
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
   * Condemns every connection opened so far: idle ones close now, leased ones when they come back. For when you know
   * what the pool can't: a failover, a changed role.
   */
  invalidate(cause?: unknown): void {
    this.#engine.invalidate(cause)
  }

  /**
   * Lets go of every connection opened so far, and stays usable: what is asked for afterwards is opened anew. For a
   * process that is about to start workers, or to be frozen. Resolves when the idle ones are closed; leased ones close
   * when they come back.
   *
   * @throws {OptionsError} that names every option that can't work.
   */
  async dispose(options: DisposeOptions = {}): Promise<void> {
    await this.#engine.dispose(resolveDispose(options))
  }

  /** The counts of this moment. As text it is SQLAlchemy's line. */
  status(): PoolStatus {
    const { inventory, waitingCount } = this.#engine
    const { name, max, maxIdle } = this.#options
    const { longestLease, ...counts } = inventory.occupancy(systemClock.now())
    return statusOf({
      ...counts,
      name,
      pid: process.pid,
      max,
      maxIdle,
      size: inventory.size,
      waiting: waitingCount,
      isClosed: this.#ended !== undefined,
    })
  }

  /** Each connection, with its backend's pid, to be held against `pg_stat_activity`. */
  inspect(): ConnectionInspection[] {
    const now = systemClock.now()
    return this.#engine.inventory.all().map((connection) => inspectionOf(connection, now))
  }

  /**
   * Closes every connection: idle ones at once, leased ones when they come back. Callers in line are refused, but for
   * those to whom a connection is on its way. After `closeTimeoutMillis` whatever is left is destroyed, so this always
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
   * For a graceful shutdown: from now on the pool has `millis` left. Until then every caller is served, new ones too; then
   * the pool closes, whoever waits is refused, and whatever runs is cut off. Resolves with true as soon as nothing is in use
   * and nobody waits (then call `end()`), with false when the time was up before and all is closed. Called again, it can
   * only leave less time. With `{ close: false }` it only waits, and closes nothing: for who shares the pool.
   *
   * @throws {OptionsError} when `millis` isn't a number from 0 to 2^31 - 1, or an option can't work.
   */
  async drain(millis: number, options: DrainOptions = {}): Promise<boolean> {
    return await this.#engine.drain(millis, resolveDrain(millis, options) ? () => void this.#end() : undefined)
  }

  /** Ends the pool, or waits for the end that is under way: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEndAsked = true
    await this.#end()
  }

  #end(): Promise<void> {
    if (this.#ended) return this.#ended
    // pg-pool's own, over lists that are always empty: an instrumentation has put itself around it.
    super.end(() => {})
    Object.assign(this, { ended: false })
    this.#ended = this.#engine.close().then(() => {
      Object.assign(this, { ended: true })
    })
    return this.#ended
  }

  /** In a function of its own: its closure costs nothing where a connection is ready. */
  #connectLater(options: AcquireOptions | undefined, stack: string | undefined): Promise<LeasedClient> {
    return new Promise((resolve) => this.#engine.acquire(new ConnectCall(resolve, options, stack)))
  }

  #connectFor(callback: ConnectCallback, options: AcquireOptions | undefined): void {
    this.#engine.acquire(new CallbackCall(callback, options, this.#whoAsks(this.connect)))
  }

  /** Through pg-pool's `connect`, where the instrumentation is; it comes back by `newClient`. */
  #connectInstrumented(
    callback: ConnectCallback | undefined,
    options: AcquireOptions | undefined,
  ): Promise<LeasedClient> | undefined {
    this.#asked = options
    try {
      return super.connect(callback as never) as unknown as Promise<LeasedClient> | undefined
    } finally {
      this.#asked = undefined
    }
  }

  #run(
    query: string | (QueryConfig & StatementOptions) | Submittable,
    values: unknown[] | undefined,
    done: ResultCallback,
    isPromise: boolean,
  ): void {
    if (this.connect !== ownConnect || isInstrumented()) return this.#runThroughConnect(query, values, done)
    const options = acquireOptionsFor(acquireOptionsIn(query))
    const stack = this.#whoAsks(this.query)
    this.#engine.acquire(new QueryCall(query, values, done, isPromise, this.#engine, options, stack))
  }

  /** Whoever overrides `connect` (a tenant's role, a search path) means every statement, as with pg. */
  #runThroughConnect(query: unknown, values: unknown[] | undefined, done: ResultCallback): void {
    const connect = (asked: AcquireOptions | undefined, callback: ConnectCallback): void => {
      this.#asked = asked
      try {
        this.connect(callback)
      } finally {
        this.#asked = undefined
      }
    }
    runThrough(connect, query, values, done, systemClock.now() + this.#options.connectionTimeoutMillis, this.#engine)
  }

  /** Where the caller is, if leaks are looked for: a stack isn't cheap. */
  #whoAsks(method: (...args: never[]) => unknown): string | undefined {
    if (this.#options.leakDetectionMillis === Number.POSITIVE_INFINITY) return undefined
    return stackAbove('Acquired here', method)
  }

  /** pg's own share of the options. The pool's timeouts replace the driver's, which would fire on their own. */
  #clientConfig(): PoolConfig {
    const { connectionTimeoutMillis, query_timeout, ...config } = copyOptions(this.options)
    return { keepAlive: DEFAULTS.keepAlive, ...config }
  }
}

/** Instrumentations put themselves around pg-pool's `connect`, with shimmer's mark on it. */
function isInstrumented(): boolean {
  return '__original' in pgPool.connect
}

function count(read: (pool: Pool) => number): PropertyDescriptor {
  return {
    configurable: true,
    get(this: Pool) {
      return read(this)
    },
  }
}

const ownConnect = Pool.prototype.connect
const pgPool = pg.Pool.prototype
