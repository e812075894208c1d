import type { ResolvedOptions } from './resolved-options.ts'

/** What isn't enumerable in the options of a pool, so that nobody prints it by accident, as pg has it. */
const HIDDEN = ['password', 'connectionString'] as const

/** Copies options of a pool, also those that are hidden in another pool's, and leaves out what is undefined. */
export function copyOptions<Given extends object>(given: Given): Given {
  const copy: Record<string, unknown> = Object.fromEntries(Object.entries(given))
  for (const key of HIDDEN) copy[key] = (given as Record<string, unknown>)[key]
  for (const [key, value] of Object.entries(copy)) if (value === undefined) delete copy[key]
  return copy as Given
}

/** Has `pool.options` show the counts in force, as pg.Pool shows them. */
export function showOptions(shown: object, { max, min, maxUses, allowExitOnIdle }: ResolvedOptions): void {
  Object.assign(shown, { max, min, maxUses, allowExitOnIdle })
}
