import { type LeasedClient, type Pool, physicalClient, sharesReads, withPoolOptions } from '@holdfast/core'
import { type AbortableOperationOptions, type DatabaseConnection, PostgresDriver, type PostgresPool } from 'kysely'
import type { ResolvedConfig } from './config.ts'
import { type LeaseOptions, markAsRolledBack, sendSelectsAgain } from './kysely-patches.ts'
import { LateConnection } from './late-connection.ts'
import { postgresPoolOn } from './postgres-pool.ts'

/** Kysely's own connection, which is no part of its documented types. */
type PostgresConnection = Parameters<PostgresDriver['releaseConnection']>[0]

/**
 * Kysely's driver, with four differences. It leases no connection for a plain read, if the pool has these share connections. It
 * acquires a connection with the caller's signal. It releases the connection when a hook throws, so it runs the hooks itself. And a
 * COMMIT that the server refuses leaves nothing to roll back.
 */
export class HoldfastDriver extends PostgresDriver {
  readonly #config: ResolvedConfig
  readonly #leaseOptions: LeaseOptions = new WeakMap()
  /** The clients whose `onCreateConnection` has succeeded. Physical ones: each lease has a client object of its own. */
  readonly #created = new WeakSet<object>()
  /** The client that Kysely's own driver gets when it calls `connect()` next. */
  #leased: LeasedClient | undefined
  #pool!: Pool

  constructor(config: ResolvedConfig) {
    const { onCreateConnection, onReserveConnection, ...withoutHooks } = config
    const pool = async (options?: AbortableOperationOptions): Promise<PostgresPool> => {
      this.#pool = await config.pool(options)
      return postgresPoolOn(this.#pool, () => this.#takeLeased())
    }
    super({ ...withoutHooks, pool })
    this.#config = config
  }

  override async acquireConnection(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const { idempotentSelects, onCreateConnection, onReserveConnection } = this.#config
    const isSetUp = idempotentSelects || onCreateConnection || onReserveConnection
    if (isSetUp || options?.signal || !sharesReads(this.#pool)) return await this.#acquire(options)
    return new LateConnection(this.#pool, {
      lease: () => this.#acquire(options),
      release: (own) => super.releaseConnection(own as PostgresConnection),
    })
  }

  override releaseConnection(connection: DatabaseConnection): Promise<void> {
    if (connection instanceof LateConnection) return connection.release()
    return super.releaseConnection(connection as PostgresConnection)
  }

  override rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    const own = connection instanceof LateConnection ? connection.forRollback() : connection
    return super.rollbackTransaction(own as PostgresConnection)
  }

  async #acquire(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const client = await this.#lease(options?.signal)
    const connection = await this.#connectionOf(client, options)
    const physical = physicalClient(client)
    const { idempotentSelects, onCreateConnection, onReserveConnection } = this.#config
    try {
      if (!this.#created.has(physical)) await onCreateConnection?.(connection, options)
      this.#created.add(physical)
      if (idempotentSelects && !this.#leaseOptions.has(connection))
        sendSelectsAgain(connection, this.#pool, this.#leaseOptions)
      this.#leaseOptions.set(connection, options)
      await onReserveConnection?.(connection, options)
    } catch (error) {
      await this.releaseConnection(connection)
      throw error
    }
    return connection
  }

  override commitTransaction(connection: DatabaseConnection): Promise<void> {
    return super.commitTransaction(connection).catch((error) => {
      throw markAsRolledBack(error)
    })
  }

  #lease(signal: AbortSignal | undefined): Promise<LeasedClient> {
    const connect = (): Promise<LeasedClient> => this.#pool.connect()
    return signal ? withPoolOptions({ signal }, connect) : connect()
  }

  /** Kysely's own connection, on this client. `super.acquireConnection` takes the client before it returns its promise. */
  async #connectionOf(client: LeasedClient, options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const releaseIfHeld = client[Symbol.dispose]
    try {
      this.#leased = client
      return await super.acquireConnection(options)
    } catch (error) {
      releaseIfHeld() // `destroy()` was called meanwhile.
      throw error
    }
  }

  #takeLeased(): LeasedClient | undefined {
    const leased = this.#leased
    this.#leased = undefined
    return leased
  }
}
