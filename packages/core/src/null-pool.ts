import { readOptions } from './options/check.ts'
import type { PoolOptions } from './options/pool-options.ts'
import { copyOptions } from './options/secrets.ts'
import { Pool } from './pool.ts'

/** The options of a `NullPool`: all except those that concern idle connections. */
export interface NullPoolOptions
  extends Omit<PoolOptions, 'min' | 'maxIdle' | 'maxUses' | 'idleTimeoutMillis' | 'keepaliveMillis' | 'lifo'> {}

/**
 * A pool that keeps no idle connections: each lease opens a connection, and closes it at the end. It has the same methods and
 * the same protections as `Pool`; `max` limits how many connections are open at a time. Use it behind a connection pooler, in
 * scripts, and in processes that are frozen between two requests.
 *
 * @example
 * ```ts
 * const pool = new NullPool({ connectionString: process.env.DATABASE_URL })
 * ```
 */
export class NullPool extends Pool {
  static {
    Object.defineProperty(NullPool, 'name', { value: 'NullPool' })
  }

  /** @throws {OptionsError} that names every option that can't work. */
  constructor(options: NullPoolOptions = {}) {
    super(readOptions('NullPool', () => ({ ...options, ...copyOptions(options), min: 0, maxIdle: 0, maxUses: 1 })))
  }
}
