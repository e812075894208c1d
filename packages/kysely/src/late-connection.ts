import { mayShare, type Pool, ReleaseError, readOn } from '@holdfast/core'
import type {
  AbortableOperationOptions,
  CompiledQuery,
  ControlConnectionProvider,
  DatabaseConnection,
  QueryResult,
} from 'kysely'

/** Leases and releases Kysely's own connections. */
interface Leases {
  lease(): Promise<DatabaseConnection>
  release(connection: DatabaseConnection): Promise<void>
}

/**
 * A connection that is leased when it is needed. Kysely leases one for each query; if that is a plain read, it needs none of its
 * own, and may share one. With anything else, or a second statement, this one is leased. Kysely cancels a query on the
 * connection that it has asked for the session before, so that one is leased by then.
 */
export class LateConnection implements DatabaseConnection {
  readonly #pool: Pool
  readonly #leases: Leases
  #leasing: Promise<DatabaseConnection> | undefined
  #leased: DatabaseConnection | undefined
  #hasRead = false
  #isReleased = false

  constructor(pool: Pool, leases: Leases) {
    this.#pool = pool
    this.#leases = leases
  }

  async executeQuery<Row>(query: CompiledQuery, options?: AbortableOperationOptions): Promise<QueryResult<Row>> {
    const { sql, parameters } = query
    if (this.#leasing || this.#hasRead || !mayShare(this.#pool, sql))
      return await (await this.#bind()).executeQuery<Row>(query, options)
    this.#hasRead = true
    const { rows } = await readOn(this.#pool, sql, [...parameters])
    return { rows: rows as Row[] }
  }

  async *streamQuery<Row>(
    query: CompiledQuery,
    chunkSize: number,
    options?: AbortableOperationOptions,
  ): AsyncIterableIterator<QueryResult<Row>> {
    yield* (await this.#bind()).streamQuery<Row>(query, chunkSize, options)
  }

  async collectSessionInfo(): Promise<void> {
    await (await this.#bind()).collectSessionInfo?.()
  }

  async cancelQuery(provider: ControlConnectionProvider): Promise<void> {
    await this.#leased?.cancelQuery?.(provider)
  }

  async killSession(provider: ControlConnectionProvider): Promise<void> {
    await this.#leased?.killSession?.(provider)
  }

  /** Kysely's own connection, whose statements go through this one, where Kysely may have added its log. */
  forRollback(): DatabaseConnection {
    const leased = this.#leased
    if (!leased) return this
    return new Proxy(leased, {
      get: (target, key) => {
        const owner: object = key === 'executeQuery' ? this : target
        const value: unknown = Reflect.get(owner, key)
        return typeof value === 'function' ? value.bind(owner) : value
      },
    })
  }

  async release(): Promise<void> {
    this.#isReleased = true
    if (this.#leased) await this.#leases.release(this.#leased)
  }

  #bind(): Promise<DatabaseConnection> {
    this.#leasing ??= this.#leaseNow()
    return this.#leasing
  }

  async #leaseNow(): Promise<DatabaseConnection> {
    try {
      this.#leased = await this.#leases.lease()
    } catch (error) {
      this.#leasing = undefined // The next statement tries again.
      throw error
    }
    if (!this.#isReleased) return this.#leased
    // Kysely doesn't wait for a query whose signal was aborted.
    await this.#leases.release(this.#leased)
    throw new ReleaseError('This connection has been released: it may not be used any more.')
  }
}
