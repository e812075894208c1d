import { type Logger, NullPool, Pool } from '@holdfast/core'
import { SETTINGS } from '../../settings.ts'
import type { ConnectionSettings } from '../../stacks/stack.ts'
import { SOAK } from '../settings.ts'

/** What is soaked: a pool with everything on, and one that keeps nothing. */
export interface Pools {
  readonly pool: Pool
  readonly nullPool: NullPool
}

/** Opens both, on the same server and under the same name, so that every fault strikes both. */
export function openPools(connection: ConnectionSettings, logger: Logger): Pools {
  const { keepaliveMillis, idleTimeoutMillis, maxIdle, maxUses, ...forBoth } = SOAK.pool
  const common = { ...connection, ...forBoth, query_timeout: SETTINGS.queryTimeoutMillis, logger }
  const pool = new Pool({
    ...common,
    name: 'soak',
    max: SETTINGS.poolMax,
    keepaliveMillis,
    idleTimeoutMillis,
    maxIdle,
    maxUses,
    onConnect: async (client) => {
      await client.query("set lock_timeout = '4s'")
    },
  })
  return { pool, nullPool: new NullPool({ ...common, name: 'soak-null', max: SOAK.nullPoolMax }) }
}
