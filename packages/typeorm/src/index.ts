export { drain } from './drain.ts'
export { type HoldfastDataSourceOptions, holdfast } from './options.ts'
export { driverFor } from './shared-pool.ts'
export { type TransactionOptions, transaction } from './transaction.ts'
