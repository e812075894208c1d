import { drizzle as stock } from 'drizzle-orm/node-postgres'

export const drizzle = stock
