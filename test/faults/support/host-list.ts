import type { PoolOptions } from '@holdfast/core'
import type { Cluster } from '../../support/index.ts'

/** The options of a pool that knows all of these servers, by a URL as libpq writes it, with the rights of the user of one of them. */
export function listOf(
  addresses: readonly { readonly host: string; readonly port: number }[],
  { url }: Cluster,
  options: PoolOptions = {},
): PoolOptions {
  const { username, password, pathname, search } = new URL(url)
  const hosts = addresses.map(({ host, port }) => `${host}:${port}`).join()
  const connectionString = `postgres://${username}:${password}@${hosts}${pathname}${search}`
  return { connectionString, targetSessionAttrs: 'read-write', ...options }
}
