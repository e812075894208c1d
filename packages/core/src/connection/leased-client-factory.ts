import type { PoolClient } from 'pg'
import { deriveLeaseHandle, type LeaseHandleClass, type LeaseOwner, PHYSICAL } from './leased-client.ts'
import type { LeasedClient } from './physical-client.ts'

/** Makes what the caller of the present lease gets. */
export type MakeLeasedClient = (owner: LeaseOwner) => LeasedClient

// One for each class of clients, as with physicalClientClass.
const CLASSES = new WeakMap<object, LeaseHandleClass>()

/** What callers get: a client for each lease, or the physical client itself with a `release` for each lease. */
export function leasedClientFactory(client: LeasedClient, isPerLease: boolean): MakeLeasedClient {
  if (!isPerLease) return renewRelease
  const prototype: object = Object.getPrototypeOf(client)
  const LeaseHandle = CLASSES.get(prototype) ?? deriveLeaseHandle(client, prototype)
  CLASSES.set(prototype, LeaseHandle)
  return (owner) => {
    owner.lease.giveToCaller()
    return new LeaseHandle(owner)
  }
}

function renewRelease(owner: LeaseOwner): LeasedClient {
  const { client, lease } = owner
  const { number } = lease
  lease.giveToCaller()
  client.release = (discard) => owner.endLease(number, discard)
  return client
}

/**
 * The physical client behind the client that `connect()` gave: the same at each lease of a connection, and the one that
 * `pool.on('connect')` passes. Use it as a key for what is kept per connection, such as in a `WeakMap`. Any other client is
 * returned unchanged.
 *
 * @example
 * ```ts
 * const client = await pool.connect()
 * preparedOn.add(physicalClient(client))
 * ```
 */
export function physicalClient<Client extends PoolClient>(client: Client): Client {
  return (client as Client & { readonly [PHYSICAL]?: Client })[PHYSICAL] ?? client
}
