import {
  type LeasedClient,
  mayShare,
  OptionsError,
  type PingOptions,
  Pool,
  PoolClosedError,
  type PoolStats,
  type PoolStatus,
  type ReadyOptions,
} from '@holdfast/core'
import pg, { type QueryResult } from 'pg'
import { readLate, TypeormPool } from './typeorm-patches.ts'

/**
 * TypeORM's option `driver` for a data source that shares a pool with the rest of the application: `destroy()` doesn't end
 * the pool, and `initialize()` works again.
 *
 * @throws {OptionsError} when it isn't a Holdfast pool, or has ended; in `initialize()`, when TypeORM's options say what
 * the pool decides: where the server is, `poolSize`, `extra`.
 */
export function driverFor(pool: Pool): object {
  if (!(pool instanceof Pool) || pool.ending)
    throw new OptionsError(['`pool` must be a Pool of @holdfast/core (one copy of it) that has not ended.'])

  /** TypeORM calls it with `new`, once in each `initialize()`. */
  function SharingPool(options: Record<string, unknown>): Pool {
    const given = Object.keys(options).filter((key) => options[key] !== undefined)
    if (given.length > 0) throw new OptionsError(given.map((key) => `\`${key}\` must be absent: it is the pool's.`))
    return new SharedPool(pool)
  }
  return { ...pg, Pool: SharingPool }
}

/** The pool of one data source: it opens no connection of its own, and leases from the shared pool. */
class SharedPool extends TypeormPool {
  readonly #shared: Pool
  readonly #closing = new AbortController()
  #isDraining = false

  constructor(shared: Pool) {
    super()
    this.#shared = shared
    readLate(shared)
  }

  protected override lease(): Promise<LeasedClient> {
    return this.#shared.connect({ signal: this.#closing.signal })
  }

  override mayRead(text: string): boolean {
    return !this.#isDraining && mayShare(this.#shared, text)
  }

  override read(text: string, values: unknown[] | undefined): Promise<QueryResult> {
    return this.#shared.query(text, values)
  }

  override status(): PoolStatus {
    return this.#shared.status()
  }

  override stats(): PoolStats {
    return this.#shared.stats()
  }

  override ping(options?: PingOptions): Promise<void> {
    return this.#shared.ping(options)
  }

  override ready(options?: ReadyOptions): Promise<void> {
    return this.#shared.ready(options)
  }

  /** Waits until nothing uses the shared pool. When the time is up, only this data source gets no more connections. */
  override drain(millis: number): Promise<boolean> {
    this.#isDraining = true // From now on each reader can be refused when the time is up.
    const close = (): void => this.#closing.abort(new PoolClosedError('The data source has been drained'))
    AbortSignal.timeout(Math.ceil(millis)).addEventListener('abort', close)
    return this.#shared.drain(millis, { close: false })
  }

  /** The shared pool stays open. */
  override end(): Promise<void>
  override end(callback: () => void): void
  override end(callback?: () => void): Promise<void> | undefined {
    if (!callback) return Promise.resolve()
    process.nextTick(callback)
    return undefined
  }
}
