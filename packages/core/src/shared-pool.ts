import { isDeepStrictEqual } from 'node:util'
import { OptionsError } from './errors.ts'
import { Problems } from './options/check.ts'
import type { PoolOptions } from './options/pool-options.ts'
import { nonEmptyName } from './options/read-values.ts'
import { Pool } from './pool.ts'

/** A registered symbol, since a bundler may have loaded several copies of the package. */
const SHARED: unique symbol = Symbol.for('holdfast.sharedPools')

/** How long the callers of a former pool may take, in milliseconds. */
const PATIENCE_MILLIS = 30_000

interface Shared {
  readonly pool: Pool
  readonly options: PoolOptions
}

/**
 * The pool of this name in this process, made when it is first asked for. A framework that loads your modules again with each edit
 * (Next.js, Vite, Nuxt) would make another pool each time, and leave the former ones open. With other options than before, the
 * former pool is ended as soon as its callers are done, and another one is made; so it is if it has ended.
 *
 * @param name also the option `name`, unless the options have one
 * @throws {OptionsError} that names every option that can't work.
 *
 * @example
 * ```ts
 * export const pool = sharedPool('app', { connectionString: process.env.DATABASE_URL })
 * ```
 */
export function sharedPool(name: string, options: PoolOptions = {}): Pool {
  const problems = new Problems()
  nonEmptyName('name', name, problems)
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  const pools = poolsOfProcess()
  const former = pools.get(name)
  if (former && !former.pool.ending && isDeepStrictEqual(former.options, options)) return former.pool
  const pool = new Pool({ name, ...options })
  pools.set(name, { pool, options: { ...options } })
  if (former && !former.pool.ending) void retire(former.pool)
  return pool
}

async function retire(pool: Pool): Promise<void> {
  await pool.drain(PATIENCE_MILLIS)
  await pool.end()
}

function poolsOfProcess(): Map<string, Shared> {
  const holder = globalThis as { [SHARED]?: Map<string, Shared> }
  if (holder[SHARED]) return holder[SHARED]
  const pools = new Map<string, Shared>()
  // Not enumerable: the options may have passwords.
  Object.defineProperty(holder, SHARED, { value: pools })
  return pools
}
