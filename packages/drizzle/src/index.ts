export type { Drizzle, DrizzleClient, DrizzleOptions, HoldfastDatabase, TransactionConfig } from './database.ts'
export { drizzle } from './drizzle.ts'
