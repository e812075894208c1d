import type pg from 'pg'
import type { Cluster, FaultProxy } from '../../support/index.ts'
import { expectHealthy } from './health.ts'

/** Where connections are lost. */
export interface Place {
  readonly cluster: Cluster
  readonly proxy: FaultProxy
  readonly applicationName: string
}

/** Ways in which a connection is lost at once, and the error code of each. */
export const LOSSES = [
  {
    loss: 'the backend is terminated',
    code: '57P01',
    happen: ({ cluster, applicationName }: Place) => cluster.terminateBackends({ applicationName }),
  },
  { loss: 'the socket is reset', code: 'ECONNRESET', happen: async ({ proxy }: Place) => proxy.cut('rst') },
  { loss: 'the socket is closed', code: '08006', happen: async ({ proxy }: Place) => proxy.cut('fin') },
] as const

/** The server may go on with what its client has given up: that is ended first, it would be counted. */
export async function allIsWell(pool: pg.Pool, { cluster, proxy, applicationName }: Place): Promise<void> {
  await proxy.heal()
  await cluster.terminateBackends({ applicationName, state: 'active' })
  await expectHealthy(pool, cluster, applicationName)
}
