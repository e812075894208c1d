import { createRequire, registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import type * as core from '@holdfast/core'
import type * as adapter from '@holdfast/drizzle'
import type * as orm from 'drizzle-orm'
import type * as nodePostgres from 'drizzle-orm/node-postgres'
import type * as migrator from 'drizzle-orm/node-postgres/migrator'
import type * as pgCore from 'drizzle-orm/pg-core'

// The adapter, and only that, is to find the release candidate of Drizzle 1.0, which isn't installed by its own name.
registerHooks({
  resolve: (specifier, context, next) =>
    context.parentURL?.includes('/packages/drizzle/')
      ? next(specifier.replace(/^drizzle-orm(?=\/|$)/, 'drizzle-orm-next'), context)
      : next(specifier, context),
})

// By Node, whereas an import would be done by vitest; what `require` itself would find of Drizzle is a second copy.
const require = createRequire(import.meta.url)
const load = <Module>(name: string): Module => require(fileURLToPath(import.meta.resolve(name)))

/** What relational queries are made of in 1.0. */
type DefineRelations = (tables: Record<string, unknown>) => unknown

/** The adapter on the release candidate, and what belongs to them; typed as 0.45, which the tests use alike. */
export const CANDIDATE = {
  ...load<typeof core>('@holdfast/core'),
  ...load<typeof adapter>('@holdfast/drizzle'),
  ...load<Pick<typeof orm, 'sql' | 'eq'> & { readonly defineRelations: DefineRelations }>('drizzle-orm-next'),
  ...load<Pick<typeof pgCore, 'pgTable' | 'text'>>('drizzle-orm-next/pg-core'),
  ...load<Pick<typeof migrator, 'migrate'>>('drizzle-orm-next/node-postgres/migrator'),
  stock: load<typeof nodePostgres>('drizzle-orm-next/node-postgres').drizzle,
}
