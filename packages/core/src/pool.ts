import pg, {
  type Client,
  type PoolConfig,
  type QueryArrayConfig,
  type QueryArrayResult,
  type QueryConfig,
  type QueryConfigValues,
  type QueryResult,
  type QueryResultRow,
  type Submittable,
} from 'pg'
import { grantRelease, type LeasedClient, rethrowFromCaller } from './connection/client.ts'
import { Connector } from './connection/connector.ts'
import { Engine } from './engine/engine.ts'
import { ConnectionLostError, PoolClosedError } from './errors.ts'
import { ProcessGuard } from './guard/process-guard.ts'
import { withoutUndefined } from './options/check.ts'
import { DEFAULTS } from './options/defaults.ts'
import type { PoolOptions } from './options/pool-options.ts'
import { resolveOptions } from './options/resolve-options.ts'
import type { ResolvedOptions } from './options/resolved-options.ts'
import { systemClock } from './runtime/clock.ts'
import { type PoolEvent, Publisher } from './telemetry/events.ts'

/** What `connect(callback)` calls: pg's three arguments. */
export type ConnectCallback = (
  error: Error | undefined,
  client: LeasedClient | undefined,
  release: (discard?: Error | boolean) => void,
) => void

type ResultCallback = (error: Error | null | undefined, result?: QueryResult) => void

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
      expiredCount: count((pool) => pool.#engine.expiredCount),
    })
  }

  readonly #engine: Engine
  #ended: Promise<void> | undefined

  /** @throws {OptionsError} that names every option that can't work. */
  constructor(options: PoolOptions = {}) {
    const resolved = resolveOptions(options)
    const { password } = options // Not enumerable in the options of another pool.
    const given = { ...withoutUndefined(options), ...(password === undefined ? {} : { password }) }
    super(given as PoolConfig)
    this.#adoptOptions(resolved)
    const clock = systemClock
    const publisher = new Publisher(resolved.name)
    publisher.subscribe((event) => this.#emitAsPg(event))
    const { log } = given
    if (log) publisher.subscribe((event) => log(event.type, 'connection' in event ? event.connection.id : ''))
    const guard = new ProcessGuard(clock)
    const connector = new Connector(
      {
        clientConfig: () => this.#clientConfig(),
        Client: given.Client as typeof Client | undefined,
        connectionTimeoutMillis: resolved.connectionTimeoutMillis,
        queryTimeoutMillis: resolved.queryTimeoutMillis,
        allowExitOnIdle: resolved.allowExitOnIdle,
        onConnect: given.onConnect,
        verify: given.verify,
      },
      clock,
    )
    this.#engine = new Engine({ options: resolved, connector, clock, publisher, stoodStill: () => guard.stoodStill() })
  }

  /**
   * Leases a connection: proven alive, clean, and for you alone until `release()`, or the end of an `await using`.
   *
   * @throws {PoolTimeoutError} when `connectionTimeoutMillis` passed first; it tells why.
   * @throws {ConnectError} when the server refuses for good: password, database, certificate.
   * @throws {PoolClosedError} after `end()`.
   */
  override connect(): Promise<LeasedClient>
  override connect(callback: ConnectCallback): void
  override connect(callback?: ConnectCallback): Promise<LeasedClient> | undefined {
    if (callback) {
      this.#acquire(
        // Not before connect() has returned: callers rely on it.
        (client) => process.nextTick(callback, undefined, client, client.release),
        (error) => process.nextTick(callback, error, undefined, () => {}),
      )
      return undefined
    }
    return new Promise<LeasedClient>((resolve, reject) => this.#acquire(resolve, reject)).catch(rethrowFromCaller)
  }

  /**
   * Runs one statement on whichever connection is free. A plain SQL error leaves the connection in the pool.
   *
   * @throws {ConnectionLostError} when the connection died while the statement ran: `sent` and `commitOutcome` tell.
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
  // biome-ignore lint/suspicious/noExplicitAny: one implementation for all of them.
  override query(query: any, values?: any, callback?: any): any {
    if (typeof query === 'function') {
      // pg's way of telling, to the letter.
      process.nextTick(query, new Error('Passing a function as the first parameter to pool.query is not supported'))
      return undefined
    }
    const done: ResultCallback | undefined = typeof values === 'function' ? values : callback
    const parameters = typeof values === 'function' ? undefined : values
    if (done) return this.#run(query, parameters, done)
    return new Promise((resolve, reject) => {
      this.#run(query, parameters, (error, result) => (error ? reject(error) : resolve(result)))
    }).catch(rethrowFromCaller)
  }

  /**
   * Closes every connection: idle ones at once, leased ones when they come back. After `closeTimeoutMillis` whatever
   * is left is destroyed, so this always resolves. Callers in line are refused.
   *
   * @throws {PoolClosedError} when called a second time.
   */
  override end(): Promise<void>
  override end(callback: (error?: Error) => void): void
  override end(callback?: (error?: Error) => void): Promise<void> | undefined {
    const ended = this.#ended ? Promise.reject(new PoolClosedError('Called end on pool more than once')) : this.#end()
    if (!callback) return ended
    ended.then(() => callback(), callback)
    return undefined
  }

  /** Ends the pool, or waits for the end that is under way: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#ended ?? this.#end())
  }

  #end(): Promise<void> {
    Object.assign(this, { ending: true })
    this.#ended = this.#engine.close().then(() => {
      Object.assign(this, { ended: true })
    })
    return this.#ended
  }

  #acquire(leased: (client: LeasedClient) => void, failed: (error: Error) => void): void {
    this.#engine.acquire({
      leased: (connection) => {
        grantRelease(connection.client, (discard) => this.#engine.takeBack(connection, discard))
        leased(connection.client)
      },
      failed,
    })
  }

  #run(query: string | QueryConfig | Submittable, values: unknown[] | undefined, done: ResultCallback): void {
    if (this.connect !== ownConnect) return this.#runThroughConnect(query, values, done)
    this.#engine.acquire({
      leased: (connection) => runOn(connection.client, query, values, () => this.#engine.takeBack(connection), done),
      // A callback that throws must not end the round in which the others are told.
      failed: (error) => process.nextTick(done, error),
    })
  }

  /** Whoever overrides `connect` (a tenant's role, a search path) means every statement, as with pg. */
  #runThroughConnect(query: unknown, values: unknown[] | undefined, done: ResultCallback): void {
    this.connect((error, client, release) => {
      if (error || !client) done(error)
      else runOn(client, query, values, release, done)
    })
  }

  /** What others read in `pool.options`: the values in force, as pg.Pool shows them. */
  #adoptOptions(resolved: ResolvedOptions): void {
    const { max, min, maxUses, allowExitOnIdle } = resolved
    Object.assign(this.options, { max, min, maxUses, allowExitOnIdle })
  }

  /** pg's own share of the options. The pool's timeouts replace the driver's, which would fire on their own. */
  #clientConfig(): PoolConfig {
    const { connectionTimeoutMillis, query_timeout, ...config } = this.options
    return { keepAlive: DEFAULTS.keepAlive, ...config, password: this.options.password }
  }

  /** Tells pg's events where pg tells them. An `error` without a listener would end the process, so it isn't told. */
  #emitAsPg(event: PoolEvent): void {
    switch (event.type) {
      case 'connection-opened':
        this.emit('connect', event.connection.client)
        break
      case 'connection-leased':
        this.emit('acquire', event.connection.client)
        break
      case 'connection-released':
        this.emit('release', event.discard, event.connection.client)
        break
      case 'connection-lost':
        if (!event.wasLeased && this.listenerCount('error') > 0)
          this.emit('error', new ConnectionLostError(event.loss, false), event.connection.client)
        break
      case 'connection-closed':
        this.emit('remove', event.connection.client)
        break
      case 'connect-failed':
      case 'connection-retired':
      case 'pool-invalidated':
        break
    }
  }
}

function runOn(
  client: LeasedClient,
  query: unknown,
  values: unknown[] | undefined,
  giveBack: () => void,
  done: ResultCallback,
): void {
  try {
    client.query(query as string, values as unknown[], (error: Error | null, result: QueryResult) => {
      giveBack()
      done(error ?? undefined, result)
    })
  } catch (error) {
    // Refused before anything was sent: not a query at all.
    giveBack()
    process.nextTick(done, error)
  }
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
