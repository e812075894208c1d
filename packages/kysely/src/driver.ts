import { type LeasedClient, type Pool, physicalClient, withPoolOptions } from '@holdfast/core'
import { type AbortableOperationOptions, type DatabaseConnection, PostgresDriver, type PostgresPool } from 'kysely'
import type { ResolvedConfig } from './config.ts'
import { type LeaseOptions, markAsRolledBack, sendSelectsAgain } from './kysely-patches.ts'
import { postgresPoolOn } from './postgres-pool.ts'

/**
 * Kysely's driver, with three differences. It acquires a connection with the caller's signal. It releases the connection when a
 * hook throws, so it runs the hooks itself. And a COMMIT that the server refuses leaves nothing to roll back.
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
      await this.releaseConnection(connection as Parameters<PostgresDriver['releaseConnection']>[0])
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
