import { OptionsError } from '@holdfast/core'
import { type DialectAdapter, type Driver, Kysely, PostgresAdapter, PostgresDialect } from 'kysely'
import { type HoldfastDialectConfig, type ResolvedConfig, resolveConfig } from './config.ts'
import { HoldfastDriver } from './driver.ts'

/**
 * Kysely's dialect for PostgreSQL, on a Holdfast pool. A hook that throws, a waiter that gives up and a COMMIT that fails keep
 * no connection; streams need no set-up; and `withRetry` runs transactions again.
 *
 * `db.destroy()` ends the pool, as with Kysely's own dialect: the pool that the dialect made, and the pool that it was given.
 * If others use the pool as well, end the pool yourself instead.
 */
export class HoldfastDialect extends PostgresDialect {
  readonly #config: ResolvedConfig

  /** @throws {OptionsError} that names every option that can't work: a stock `pg.Pool`, a pool that has ended. */
  constructor(config: HoldfastDialectConfig = {}) {
    if (!('$pickTables' in Kysely.prototype))
      throw new OptionsError(['`kysely` must be >=0.29 <0.30, this one is older.'])
    const resolved = resolveConfig(config)
    super(resolved)
    this.#config = resolved
  }

  override createDriver(): Driver {
    return new HoldfastDriver(this.#config)
  }

  override createAdapter(): DialectAdapter {
    return new HoldfastAdapter()
  }
}

/** Marks a database that is on a Holdfast pool. */
export class HoldfastAdapter extends PostgresAdapter {}
