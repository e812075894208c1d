import { OptionsError } from './errors.ts'
import { Pool } from './pool.ts'

/**
 * For adapters: accepts a pool of this package that has not ended. `option` is the name of the user's option for it.
 *
 * @throws {OptionsError} that says what to do about any other.
 */
export function checkPool(option: string, pool: unknown): asserts pool is Pool {
  if (!(pool instanceof Pool))
    throw new OptionsError([`\`${option}\` must be a Pool of '@holdfast/core', got ${nameOf(pool)}. ${REMEDY}`])
  if (pool.ending) throw new OptionsError([`\`${option}\` must be a pool in use, got one that has ended.`])
}

const REMEDY =
  'Import Pool from there instead of from pg: its options stay the same. If it comes from there, two copies are installed: see npm ls @holdfast/core.'

function nameOf(pool: unknown): string {
  const isPool = typeof (pool as { connect?: unknown } | null | undefined)?.connect === 'function'
  return isPool ? `another pool (${(pool as object).constructor.name})` : typeof pool
}
