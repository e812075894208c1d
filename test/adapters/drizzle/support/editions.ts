import { createRequire, registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { sql } from 'drizzle-orm'
import * as stock from 'drizzle-orm/node-postgres'
import * as migrator from 'drizzle-orm/node-postgres/migrator'

/** A Drizzle that the adapter must work with, and all that belongs to it. */
export interface Edition {
  readonly edition: string
  readonly drizzle: typeof drizzle
  readonly stock: typeof stock.drizzle
  readonly migrate: typeof migrator.migrate
  readonly sql: typeof sql
  /** The core that this adapter has loaded: in this process there are two. */
  readonly Pool: typeof Pool
}

/** The one that the packages here depend on. */
const PRESENT: Edition = {
  edition: 'Drizzle 0.45',
  drizzle,
  stock: stock.drizzle,
  migrate: migrator.migrate,
  sql,
  Pool,
}

/** The adapter as Node loads it where the release candidate is installed as `drizzle-orm`. */
function candidate(): Edition {
  registerHooks({
    resolve: (specifier, context, next) =>
      context.parentURL?.includes('/packages/drizzle/')
        ? next(specifier.replace(/^drizzle-orm(?=\/|$)/, 'drizzle-orm-next'), context)
        : next(specifier, context),
  })
  // By Node, whereas an import would be done by vitest; what `require` would find of Drizzle itself is a second copy.
  const require = createRequire(import.meta.url)
  const load = (name: string) => require(fileURLToPath(import.meta.resolve(name)))
  return {
    edition: 'Drizzle 1.0 (release candidate)',
    drizzle: load('@holdfast/drizzle').drizzle,
    stock: load('drizzle-orm-next/node-postgres').drizzle,
    migrate: load('drizzle-orm-next/node-postgres/migrator').migrate,
    sql: load('drizzle-orm-next').sql,
    Pool: load('@holdfast/core').Pool,
  }
}

export const EDITIONS: readonly Edition[] = [PRESENT, candidate()]
