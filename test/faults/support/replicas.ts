import type { PoolOptions, ReplicaOptions } from '@holdfast/core'
import type { Cluster } from '../../support/index.ts'

/** The options of a pool on this primary, whose reads may go to these servers. */
export function readingFrom(
  primary: Cluster,
  addresses: readonly { readonly host: string; readonly port: number }[],
  replicas: Partial<ReplicaOptions> = {},
  options: PoolOptions = {},
): PoolOptions {
  const hosts = addresses.map(({ host, port }) => ({ host, port }))
  return { connectionString: primary.url, ...options, replicas: { hosts, ...replicas } }
}
