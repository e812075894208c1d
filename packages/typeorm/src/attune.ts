import type { ConnectCallback, LeasedClient, Pool } from '@holdfast/core'

/** Has TypeORM lease by `lease`, and hear of its connections what is good for it. */
export function attune(pool: Pool, lease: () => Promise<LeasedClient> = pool.connect.bind(pool)): Pool {
  let isFirst = true
  const hand = (client: LeasedClient, tell: ConnectCallback): void => {
    const { on, release } = client
    const isLook = isFirst
    isFirst = false
    client.on = (...heard: Parameters<typeof on>) => {
      // What it listens to on the first connection (`logNotifications`) is meant for each.
      if (isLook) pool.on('connect', (each) => each.on(...heard))
      // Told of a loss, its runner would give itself up, and hide the cause.
      return (heard[0] as string) === 'error' ? client : on.apply(client, heard)
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
