import { type ConnectCallback, OptionsError, Pool, PoolClosedError } from '@holdfast/core'
import type { DataSource } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'
import { Replica } from './replica.ts'

/**
 * For a graceful shutdown: from now on the data source gets no connection, and this waits, for `millis` at most, until
 * its pools have none in use, so that `destroy()`, which cuts off what runs, finds nothing to cut off. Whether it does.
 *
 * @throws {OptionsError} when the pools aren't Holdfast's.
 */
export async function drain(dataSource: DataSource, millis: number): Promise<boolean> {
  if (!(millis >= 0 && millis < 2 ** 31)) throw new OptionsError([`\`millis\` must be 0 to 2^31 - 1, got ${millis}.`])
  const late = new Promise<false>((end) => AbortSignal.timeout(millis).addEventListener('abort', () => end(false)))
  return Promise.race([late, Promise.all(poolsOf(dataSource).map(drained)).then(() => true)])
}

function drained(pool: Pool): Promise<void> {
  const no = new PoolClosedError('The data source has been drained')
  Object.assign(pool, { connect: (tell?: ConnectCallback) => (tell ? process.nextTick(tell, no) : Promise.reject(no)) })
  return new Promise((resolve) => {
    const look = (): void => {
      // In line for a replica that is away is whoever looks whether it is back.
      if (pool.status().leased === 0 && (pool instanceof Replica || pool.status().waiting === 0)) resolve()
    }
    for (const event of ['release', 'remove']) pool.addListener(event, () => setImmediate(look))
    look()
  })
}

/** The pools that TypeORM has made. @throws {OptionsError} when they aren't ours, or this TypeORM isn't supported. */
export function poolsOf(dataSource: DataSource): Pool[] {
  const { master, slaves = [], dataSource: its } = (dataSource?.driver ?? {}) as Partial<PostgresDriver>
  const pools = [master, ...slaves].filter((pool) => pool !== undefined)
  if (its && pools.every((pool) => pool instanceof Pool)) return pools
  throw new OptionsError(['`dataSource` must be of typeorm >=1.0 <2, with holdfast(options) or borrow(pool).'])
}
