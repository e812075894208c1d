export type { HoldfastDialectConfig } from './config.ts'
export { HoldfastDialect } from './dialect.ts'
export { type RetryableTransaction, withRetry } from './with-retry.ts'
