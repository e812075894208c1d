import { type Pool, scope, TransactionRolledBackError } from '@holdfast/core'
import { type AbortableOperationOptions, type DatabaseConnection, PostgresDriver, type PostgresPool } from 'kysely'
import type { ResolvedConfig } from './config.ts'
import { lend } from './lend.ts'
import { repeatSelects } from './selects.ts'

/** By this Kysely knows that nothing is left to roll back, and releases what a controlled transaction holds. */
const ABORTED = Symbol.for('kysely.AbortedTransactionError')

/** Kysely's driver, letting go of connections where Kysely's own keeps them. */
export class HoldfastDriver extends PostgresDriver {
  readonly #config: ResolvedConfig
  /** The connections that are set up, with the options that they were leased with, until they are used. */
  readonly #leases = new WeakMap<DatabaseConnection, unknown>()
  #pool!: Pool

  constructor(config: ResolvedConfig) {
    const { onCreateConnection, onReserveConnection, ...rest } = config
    const pool = async (options?: AbortableOperationOptions): Promise<PostgresPool> => {
      this.#pool = await config.pool(options)
      return lend(this.#pool)
    }
    super({ ...rest, pool })
    this.#config = config
  }

  override async acquireConnection(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const acquire = (): Promise<DatabaseConnection> => super.acquireConnection(options)
    const connection = await (options?.signal ? scope({ signal: options.signal }, acquire) : acquire())
    const { idempotentSelects, onCreateConnection, onReserveConnection } = this.#config
    try {
      if (!this.#leases.has(connection)) {
        await onCreateConnection?.(connection, options)
        if (idempotentSelects) repeatSelects(connection, this.#pool, this.#leases)
      }
      this.#leases.set(connection, options)
      await onReserveConnection?.(connection, options)
    } catch (error) {
      await this.releaseConnection(connection as Parameters<PostgresDriver['releaseConnection']>[0])
      throw error
    }
    return connection
  }

  override commitTransaction(connection: DatabaseConnection): Promise<void> {
    return super.commitTransaction(connection).catch((error) => {
      // Answered by the server: a constraint, or a conflict, that is found at the end. A lost answer is no such thing.
      const isAnswered = error instanceof TransactionRolledBackError || (error instanceof Error && 'severity' in error)
      throw isAnswered ? Object.defineProperty(error, ABORTED, { value: true }) : error
    })
  }
}
