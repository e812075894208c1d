import type { LeasedClient, Pool, PoolOptions } from '@holdfast/core'
import pg from 'pg'
import type { DataSourceOptions } from 'typeorm'
import { ReplicaPool } from './replica-pool.ts'
import { TypeormPool } from './typeorm-patches.ts'

export type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>
type Replication = NonNullable<PostgresOptions['replication']>

/**
 * What TypeORM takes as its option `driver`, in place of `require('pg')`: pg with Holdfast's pools, and without pg-native,
 * which TypeORM would prefer.
 *
 * TypeORM makes one pool for each replica, then one for the primary. It doesn't say which one it makes, so the address tells.
 */
export function holdfastDriver({ master, slaves }: Replication = { master: {}, slaves: [] }): object {
  let replicas: ReplicaPool[] = []
  let primary: Pool | undefined

  /** Asks one replica after the other, and then the primary. */
  async function leaseFromFirstUp([next, ...others]: readonly ReplicaPool[]): Promise<LeasedClient> {
    if (!next) return primary?.connect() ?? standInClient()
    return (await next.leaseUnlessDown()) ?? leaseFromFirstUp(others)
  }

  function makePrimary(options: PoolOptions): Pool {
    primary = new TypeormPool(options)
    return primary
  }

  function makeReplica(options: PoolOptions): Pool {
    // The pools of an earlier `initialize()` are replaced.
    if (primary || replicas.length === slaves.length) replicas = []
    primary = undefined
    const siblings = replicas
    const replica = new ReplicaPool(options, (first) =>
      leaseFromFirstUp([first, ...siblings.filter((sibling) => sibling !== first)]),
    )
    siblings.push(replica)
    return replica
  }

  /** TypeORM calls it with `new`. */
  function HoldfastPool(options: PoolOptions): Pool {
    const isReplica = !isAt(options, master) && slaves.some((slave) => isAt(options, slave))
    return isReplica ? makeReplica(options) : makePrimary(options)
  }
  return { ...pg, Pool: HoldfastPool }
}

function isAt(options: PoolOptions, { url, host, port, username, database }: Replication['master']): boolean {
  const address = [options.connectionString, options.host, options.port, options.user, options.database]
  return [url, host, port, username, database].every((part, index) => part === address[index])
}

/**
 * For a replica that is down when the data source starts, before there is a pool of the primary: TypeORM leases once from
 * each new pool, and only listens to that client and releases it.
 */
function standInClient(): LeasedClient {
  return { on() {}, release() {} } as unknown as LeasedClient
}
