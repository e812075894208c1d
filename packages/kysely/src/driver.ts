import { scope, TransactionRolledBackError } from '@holdfast/core'
import {
  type AbortableOperationOptions,
  type DatabaseConnection,
  type PostgresDialectConfig,
  PostgresDriver,
} from 'kysely'

/** By this Kysely knows that nothing is left to roll back, and releases what a controlled transaction holds. */
const ABORTED = Symbol.for('kysely.AbortedTransactionError')

/** Kysely's driver, letting go of connections where Kysely's own keeps them. */
export class HoldfastDriver extends PostgresDriver {
  readonly #hooks: Pick<PostgresDialectConfig, 'onCreateConnection' | 'onReserveConnection'>
  readonly #created = new WeakSet<DatabaseConnection>()

  constructor({ onCreateConnection, onReserveConnection, ...config }: PostgresDialectConfig) {
    super(config)
    this.#hooks = { onCreateConnection, onReserveConnection } as PostgresDialectConfig
  }

  override async acquireConnection(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const { signal } = options ?? {}
    const acquire = (): Promise<DatabaseConnection> => super.acquireConnection(options)
    const connection = await (signal ? scope({ signal }, acquire) : acquire())
    try {
      if (!this.#created.has(connection)) await this.#hooks.onCreateConnection?.(connection, options)
      this.#created.add(connection)
      await this.#hooks.onReserveConnection?.(connection, options)
    } catch (error) {
      await this.releaseConnection(connection as Parameters<PostgresDriver['releaseConnection']>[0])
      throw error
    }
    return connection
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await super.commitTransaction(connection)
    } catch (error) {
      // Answered by the server: a constraint, or a conflict, that is found at the end. A lost answer is no such thing.
      const isAnswered = error instanceof TransactionRolledBackError || (error instanceof Error && 'severity' in error)
      if (isAnswered) Object.defineProperty(error, ABORTED, { value: true })
      throw error
    }
  }
}
