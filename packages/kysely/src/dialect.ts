import { OptionsError } from '@holdfast/core'
import { type DialectAdapter, type Driver, Kysely, PostgresAdapter, PostgresDialect } from 'kysely'
import { type HoldfastDialectConfig, resolveConfig } from './config.ts'
import { HoldfastDriver } from './driver.ts'

/**
 * Kysely's dialect for PostgreSQL, on a Holdfast pool: hooks that throw, waiters that give up and COMMITs that fail keep no
 * connection, streams need no set-up, and `withRetry` runs transactions again.
 * `db.destroy()` ends the pool, as with Kysely's own dialect: the one it made as well as the one it was given. Who shares
 * a pool ends it himself instead.
 */
export class HoldfastDialect extends PostgresDialect {
  readonly #config: ReturnType<typeof resolveConfig>

  /** @throws {OptionsError} that names every option that can't work: a stock `pg.Pool`, one that has ended. */
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

/** Tells a database on a Holdfast pool from others. */
export class HoldfastAdapter extends PostgresAdapter {}
