import { type ConnectCallback, type LeasedClient, type Pool, physicalClient } from '@holdfast/core'

/** Has TypeORM lease by `lease`, and hear of its connections what is good for it. */
export function attune(pool: Pool, lease: () => Promise<LeasedClient> = pool.connect.bind(pool)): Pool {
  let isFirst = true
  const hand = (client: LeasedClient, tell: ConnectCallback): void => {
    const { on, release } = client
    const isLook = isFirst
    isFirst = false
    client.on = (...heard: Parameters<typeof on>) => {
      // Told of a loss, its runner would give itself up, and hide the cause.
      if ((heard[0] as string) === 'error') return client
      if (!isLook) return on.apply(client, heard)
      // What it listens to on the first connection (`logNotifications`) is meant for each, and for all of its leases.
      pool.on('connect', (each) => each.on(...heard))
      physicalClient(client).on(...heard)
      return client
    }
    tell(undefined, client, (discard) => {
      Reflect.deleteProperty(client, 'on')
      release(discard)
    })
  }
  const connect = (tell?: ConnectCallback): Promise<LeasedClient> => {
    const leased = lease()
    if (tell) leased.then((client) => hand(client, tell), tell as () => void)
    return leased
  }
  return Object.assign(pool, { connect })
}
