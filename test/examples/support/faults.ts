import type { Cluster, FaultProxy } from '../../support/index.ts'

/** Where a fault happens. */
export interface Place {
  readonly cluster: Cluster
  readonly proxy: FaultProxy
  readonly applicationName: string
}

/** A fault of the connections of a service. */
export interface Fault {
  readonly what: string
  readonly happen: (place: Place) => Promise<unknown>
}

/** Each ends every connection that the service has. */
export const FAULTS: readonly Fault[] = [
  { what: 'a fast restart of its server', happen: ({ cluster }) => cluster.restart('fast') },
  { what: 'an immediate restart of its server', happen: ({ cluster }) => cluster.restart('immediate') },
  {
    what: 'the termination of its sessions',
    happen: ({ cluster, applicationName }) => cluster.terminateBackends({ applicationName }),
  },
  { what: 'a reset of its connections', happen: async ({ proxy }) => proxy.cut('rst') },
]
