import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { sql } from 'drizzle-orm'
import { drizzle as stock } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { CANDIDATE } from './candidate.ts'

/** A Drizzle that the adapter must work with, and all that belongs to it. */
export interface Edition {
  readonly edition: string
  readonly drizzle: typeof drizzle
  readonly stock: typeof stock
  readonly migrate: typeof migrate
  readonly sql: typeof sql
  readonly pgTable: typeof pgTable
  readonly text: typeof text
  /** What `drizzle` is given to have `db.query` for these tables. */
  readonly relational: <Tables extends Record<string, unknown>>(tables: Tables) => { readonly schema: Tables }
  /** Of the core that this adapter has loaded: in this process there are two. */
  readonly Pool: typeof Pool
}

export const EDITIONS: readonly Edition[] = [
  { edition: 'Drizzle 0.45', drizzle, stock, migrate, sql, pgTable, text, relational: (schema) => ({ schema }), Pool },
  {
    ...CANDIDATE,
    edition: 'Drizzle 1.0 (release candidate)',
    relational: (tables) => ({ relations: CANDIDATE.defineRelations(tables) }) as never,
  },
]
