import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { sql } from 'drizzle-orm'
import { drizzle as stock } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { CANDIDATE } from './candidate.ts'

/** A Drizzle that the adapter must work with, and all that belongs to it. */
export interface Edition {
  readonly edition: string
  readonly drizzle: typeof drizzle
  readonly stock: typeof stock
  readonly migrate: typeof migrate
  readonly sql: typeof sql
  /** Of the core that this adapter has loaded: in this process there are two. */
  readonly Pool: typeof Pool
}

export const EDITIONS: readonly Edition[] = [
  { edition: 'Drizzle 0.45', drizzle, stock, migrate, sql, Pool },
  { ...CANDIDATE, edition: 'Drizzle 1.0 (release candidate)' },
]
