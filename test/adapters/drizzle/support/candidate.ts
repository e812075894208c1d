import { createRequire, registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import type * as core from '@holdfast/core'
import type * as adapter from '@holdfast/drizzle'
import type * as orm from 'drizzle-orm'
import type * as nodePostgres from 'drizzle-orm/node-postgres'
import type * as migrator from 'drizzle-orm/node-postgres/migrator'
import type * as pgCore from 'drizzle-orm/pg-core'

// The adapter alone must find the release candidate of Drizzle 1.0, which is installed under another name.
registerHooks({
  resolve: (specifier, context, next) =>
    context.parentURL?.includes('/packages/drizzle/')
      ? next(specifier.replace(/^drizzle-orm(?=\/|$)/, 'drizzle-orm-next'), context)
      : next(specifier, context),
})

// Loaded by Node, since vitest would do an `import`. `require` by name would find a second copy of Drizzle.
const require = createRequire(import.meta.url)
const load = <Module>(name: string): Module => require(fileURLToPath(import.meta.resolve(name)))

/** Defines the relations of relational queries in 1.0. */
type DefineRelations = (tables: Record<string, unknown>) => unknown

/** The adapter on the release candidate, and the exports of both, with the types of 0.45: the tests are the same. */
export const CANDIDATE = {
  ...load<typeof core>('@holdfast/core'),
  ...load<typeof adapter>('@holdfast/drizzle'),
  ...load<Pick<typeof orm, 'sql' | 'eq'> & { readonly defineRelations: DefineRelations }>('drizzle-orm-next'),
  ...load<Pick<typeof pgCore, 'pgTable' | 'text'>>('drizzle-orm-next/pg-core'),
  ...load<Pick<typeof migrator, 'migrate'>>('drizzle-orm-next/node-postgres/migrator'),
  stock: load<typeof nodePostgres>('drizzle-orm-next/node-postgres').drizzle,
}
