import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { sql } from 'drizzle-orm'
import { drizzle as stock } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { CANDIDATE } from './candidate.ts'

/** A version of Drizzle that the adapter supports, and its exports. */
export interface Edition {
  readonly edition: string
  readonly drizzle: typeof drizzle
  readonly stock: typeof stock
  readonly migrate: typeof migrate
  readonly sql: typeof sql
  readonly pgTable: typeof pgTable
  readonly text: typeof text
  /** The options of `drizzle` that give it `db.query` for these tables. */
  readonly relational: <Tables extends Record<string, unknown>>(tables: Tables) => { readonly schema: Tables }
  /** From the core that this adapter has loaded. This process has two copies of it. */
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
