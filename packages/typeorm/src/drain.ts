import { OptionsError, Pool } from '@holdfast/core'
import type { DataSource } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'

/**
 * For a graceful shutdown: `pool.drain(millis)` for every pool of the data source. Until the time is up everything is served,
 * then whoever waits is refused (`PoolClosedError`) and whatever runs is cut off. Resolves with true as soon as nothing runs,
 * so that `destroy()` finds nothing to cut off; with false when the time was up before.
 *
 * @throws {OptionsError} when `millis` is no time, or the pools aren't Holdfast's.
 */
export async function drain(dataSource: DataSource, millis: number): Promise<boolean> {
  if (!(millis >= 0 && millis < 2 ** 31)) throw new OptionsError([`\`millis\` must be 0 to 2^31 - 1, got ${millis}.`])
  const areQuiet = await Promise.all(poolsOf(dataSource).map((pool) => pool.drain(millis)))
  return areQuiet.every(Boolean)
}

/** The pools that TypeORM has made. @throws {OptionsError} when they aren't ours, or this TypeORM isn't supported. */
export function poolsOf(dataSource: DataSource): Pool[] {
  const { master, slaves = [], dataSource: its } = (dataSource?.driver ?? {}) as Partial<PostgresDriver>
  const pools = [master, ...slaves].filter((pool) => pool !== undefined)
  if (its && pools.every((pool) => pool instanceof Pool)) return pools
  throw new OptionsError(['`dataSource` must be of typeorm >=1.0 <2, with holdfast(options) or borrow(pool).'])
}
