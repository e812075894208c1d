import {
  type LeasedClient,
  type Pool,
  physicalClient,
  TransactionRolledBackError,
  withPoolOptions,
} from '@holdfast/core'
import { type AbortableOperationOptions, type DatabaseConnection, PostgresDriver, type PostgresPool } from 'kysely'
import type { ResolvedConfig } from './config.ts'
import { lend } from './lend.ts'
import { repeatSelects } from './selects.ts'

/** By this Kysely knows that nothing is left to roll back, and releases what a controlled transaction holds. */
const ABORTED = Symbol.for('kysely.AbortedTransactionError')

/** Kysely's driver, letting go of connections where Kysely's own keeps them. */
export class HoldfastDriver extends PostgresDriver {
  readonly #config: ResolvedConfig
  /** With the options that they were leased with, until they are used. */
  readonly #leases = new WeakMap<DatabaseConnection, unknown>()
  /** The clients whose `onCreateConnection` has succeeded. Kysely knows them only by what each lease gives it. */
  readonly #created = new WeakSet<object>()
  /** What Kysely's own driver gets when it asks for its next client. */
  #leased: LeasedClient | undefined
  #pool!: Pool

  constructor(config: ResolvedConfig) {
    const { onCreateConnection, onReserveConnection, ...rest } = config
    const pool = async (options?: AbortableOperationOptions): Promise<PostgresPool> => {
      this.#pool = await config.pool(options)
      return lend(this.#pool, () => {
        const leased = this.#leased
        this.#leased = undefined
        return leased
      })
    }
    super({ ...rest, pool })
    this.#config = config
  }

  override async acquireConnection(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const lease = (): Promise<LeasedClient> => this.#pool.connect()
    const client = await (options?.signal ? withPoolOptions({ signal: options.signal }, lease) : lease())
    const connection = await this.#connectionOf(client, options)
    const physical = physicalClient(client)
    const { idempotentSelects, onCreateConnection, onReserveConnection } = this.#config
    try {
      if (!this.#created.has(physical)) await onCreateConnection?.(connection, options)
      this.#created.add(physical)
      if (idempotentSelects && !this.#leases.has(connection)) repeatSelects(connection, this.#pool, this.#leases)
      this.#leases.set(connection, options)
      await onReserveConnection?.(connection, options)
    } catch (error) {
      await this.releaseConnection(connection as Parameters<PostgresDriver['releaseConnection']>[0])
      throw error
    }
    return connection
  }

  /** Kysely's own connection on this client. It asks for the client before it returns, so that it can't get another's. */
  async #connectionOf(
    client: LeasedClient,
    options: AbortableOperationOptions | undefined,
  ): Promise<DatabaseConnection> {
    const release = client[Symbol.dispose]
    try {
      this.#leased = client
      return await super.acquireConnection(options)
    } catch (error) {
      release() // It was destroyed meanwhile.
      throw error
    }
  }

  override commitTransaction(connection: DatabaseConnection): Promise<void> {
    return super.commitTransaction(connection).catch((error) => {
      // Answered by the server: a constraint, or a conflict, that is found at the end. A lost answer is no such thing.
      const isAnswered = error instanceof TransactionRolledBackError || (error instanceof Error && 'severity' in error)
      throw isAnswered ? Object.defineProperty(error, ABORTED, { value: true }) : error
    })
  }
}
