import { type LeasedClient, Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import type { DataSourceOptions } from 'typeorm'
import { attune } from './attune.ts'
import { Replica } from './replica.ts'

export type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>
type Replication = NonNullable<PostgresOptions['replication']>

// For TypeORM's first look at each server, which it does nothing with but release it.
const NOBODY: LeasedClient = Object.create({ on() {}, release() {} })

/** What TypeORM takes for `pg`; without pg-native, which it would prefer. */
export function driverFor({ master, slaves }: Replication = { master: {}, slaves: [] }): object {
  let replicas: Replica[] = []
  let primary: Pool | undefined
  const read = async ([next, ...others]: Replica[]): Promise<LeasedClient> =>
    next ? ((await next.lease()) ?? read(others)) : (primary?.connect() ?? NOBODY)

  /** TypeORM makes one for each replica, then one for the primary, and tells none which it is. */
  function HoldfastPool(config: PoolOptions): Pool {
    if (isAt(config, master) || !slaves.some((slave) => isAt(config, slave))) {
      primary = attune(new Pool(config))
      return primary
    }
    // Those there are belong to an `initialize()` before.
    if (primary || replicas.length === slaves.length) replicas = []
    primary = undefined
    const all = replicas
    const replica = new Replica(config)
    all.push(replica)
    return attune(replica, () => read([replica, ...all.filter((other) => other !== replica)]))
  }
  return { ...pg, Pool: HoldfastPool }
}

function isAt(config: PoolOptions, { url, host, port, username, database }: Replication['master']): boolean {
  const ours = [config.connectionString, config.host, config.port, config.user, config.database]
  return [url, host, port, username, database].every((theirs, index) => theirs === ours[index])
}
