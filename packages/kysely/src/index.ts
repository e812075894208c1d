export type { HoldfastDialectConfig } from './config.ts'
export { HoldfastDialect } from './dialect.ts'
export { type RetryingTransaction, retrying } from './retrying.ts'
