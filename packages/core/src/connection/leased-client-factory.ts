import type { PoolClient, QueryResult } from 'pg'
import type { Enclosing } from './enclosed-run.ts'
import { STAY } from './first-call.ts'
import type { Lease } from './lease.ts'
import { deriveLeaseHandle, type LeaseHandleClass, type LeaseOwner, PHYSICAL } from './leased-client.ts'
import { ENCLOSED, type EnclosingClient, FOLLOW, type FollowedClient, type LeasedClient } from './physical-client.ts'
import type { Callback, QueryConfig } from './query-arguments.ts'

/** Makes what the caller of the present lease gets. */
export type MakeLeasedClient = (owner: Owner) => LeasedClient

/** The connection, which has a lease to give. */
type Owner = LeaseOwner & { readonly lease: Lease }

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

function renewRelease(owner: Owner): LeasedClient {
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

/**
 * Runs a statement in a transaction of its own: see `EnclosedRun`. Undefined where that isn't possible, and nothing was sent:
 * the text is several statements, or code of the user's stands between this client and the driver.
 */
export function queryEnclosed(
  client: LeasedClient,
  config: QueryConfig,
  as: Enclosing,
): Promise<QueryResult> | undefined {
  let isSent = true
  const result = new Promise<QueryResult>((resolve, reject) => {
    isSent = encloseOn(client, config, as, (error, answer) => (error ? reject(error) : resolve(answer as QueryResult)))
  })
  return isSent ? result : undefined
}

/** The same with a callback. Returns false where that isn't possible, and nothing was sent. */
export function encloseOn(client: LeasedClient, config: QueryConfig, as: Enclosing, callback: Callback): boolean {
  const physical = physicalClient(client) as LeasedClient & Partial<EnclosingClient>
  if (!hasOurQuery(client) || !hasOurQuery(physical)) return false
  return physical[ENCLOSED]?.(config, as, callback) ?? false
}

/** Whether statements can be sent behind others: no code of the user's stands between this client and the driver. */
export function mayBeFollowed(client: LeasedClient): client is LeasedClient & FollowedClient {
  return FOLLOW in client && hasOurQuery(client)
}

/** Whether a client has the `query` of its class, and no other. */
function hasOurQuery(client: LeasedClient): boolean {
  return client.query === (Object.getPrototypeOf(client) as LeasedClient).query
}

/** Ties the client that a `connect()` of the user's has given to its connection: only that `connect()` can set up another. */
export function tieToConnection(client: PoolClient): void {
  ;(client as PoolClient & { readonly [STAY]?: () => void })[STAY]?.()
}
