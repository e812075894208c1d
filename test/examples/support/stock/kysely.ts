import { PostgresDialect, type TransactionBuilder } from 'kysely'

export const HoldfastDialect = PostgresDialect

export function withRetry<DB>(builder: TransactionBuilder<DB>): TransactionBuilder<DB> {
  return builder
}
