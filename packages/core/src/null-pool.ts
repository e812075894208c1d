import { readOptions } from './options/check.ts'
import type { PoolOptions } from './options/pool-options.ts'
import { copyOptions } from './options/secrets.ts'
import { Pool } from './pool.ts'

/** What a `NullPool` takes: everything but what concerns keeping connections. */
export interface NullPoolOptions
  extends Omit<PoolOptions, 'min' | 'maxIdle' | 'maxUses' | 'idleTimeoutMillis' | 'keepaliveMillis' | 'lifo'> {}

/**
 * A pool that keeps nothing: each lease opens a connection of its own, and closes it at the end. The same surface and
 * the same protections, `max` included: it bounds how many are open at a time. For a server behind a connection pooler,
 * for scripts, and for processes that are frozen between two requests.
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
