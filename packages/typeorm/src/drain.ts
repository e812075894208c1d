import { OptionsError, Pool } from '@holdfast/core'
import type { DataSource } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'

/**
 * For a graceful shutdown: calls `pool.drain(millis)` on every pool of the data source. Until the time is up every caller is
 * served. Then every waiter is refused (`PoolClosedError`), and every running statement is cut off. Resolves with true as soon
 * as nothing runs, so that `destroy()` has nothing to cut off; with false when the time was up before that.
 *
 * @throws {OptionsError} when `millis` isn't a number from 0 to 2^31 - 1, or the pools aren't Holdfast's.
 */
export async function drain(dataSource: DataSource, millis: number): Promise<boolean> {
  if (!(millis >= 0 && millis < 2 ** 31)) throw new OptionsError([`\`millis\` must be 0 to 2^31 - 1, got ${millis}.`])
  const areDrained = await Promise.all(poolsOf(dataSource).map((pool) => pool.drain(millis)))
  return areDrained.every(Boolean)
}

/**
 * The pools that TypeORM has made: that of the primary, and those of the replicas.
 *
 * @throws {OptionsError} when they aren't Holdfast's, or this version of TypeORM isn't supported.
 */
export function poolsOf(dataSource: DataSource): Pool[] {
  const driver = (dataSource?.driver ?? {}) as Partial<PostgresDriver>
  const pools = [driver.master, ...(driver.slaves ?? [])].filter((pool) => pool !== undefined)
  // Drivers before TypeORM 1.0 have no `dataSource`.
  if (driver.dataSource && pools.every((pool) => pool instanceof Pool)) return pools
  throw new OptionsError(['`dataSource` must be of typeorm >=1.0 <2, with holdfast(options) or driverFor(pool).'])
}
