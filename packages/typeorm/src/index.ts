export { borrow } from './borrow.ts'
export { drain } from './drain.ts'
export { type HoldfastDataSourceOptions, holdfast } from './options.ts'
export { type TransactionOptions, transaction } from './transaction.ts'
