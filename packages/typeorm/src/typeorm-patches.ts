import { type AcquireOptions, type ConnectCallback, type LeasedClient, Pool, physicalClient } from '@holdfast/core'

/*
 * Everything that is changed in TypeORM is in this file. It was written for typeorm >=1.0 <2, and read in 1.1.1.
 *
 * TypeORM leases by `pool.connect(callback)`, in two places, and listens to the client that it gets:
 *
 * 1. `PostgresQueryRunner.connect` listens for `error`, and releases the query runner when one comes. Every later call
 *    on that runner throws `QueryRunnerAlreadyReleasedError`, which doesn't say why the connection was lost.
 *    So that listener isn't added. The next statement rejects with the `ConnectionLostError`.
 *    If TypeORM changes this, 'hides why its connection was lost, when it is a stock one' in
 *    test/adapters/typeorm/runner.test.ts fails.
 * 2. `PostgresDriver.createPool` leases once from each new pool. With `logNotifications` it listens there for `notice` and
 *    `notification`, and so logs those of the first connection only. Here the listeners are added to every connection.
 *    If TypeORM changes this, 'logs the notices of every connection, where stock TypeORM logs those of the first' in
 *    test/adapters/typeorm/data-source.test.ts fails.
 */

/** A pool as TypeORM uses it: what `connect(callback)` gives takes TypeORM's listeners as described above. */
export class TypeormPool extends Pool {
  #hasLeased = false

  override connect(options?: AcquireOptions): Promise<LeasedClient>
  override connect(callback: ConnectCallback): void
  override connect(first?: AcquireOptions | ConnectCallback): Promise<LeasedClient> | undefined {
    if (typeof first !== 'function') return this.lease(first)
    this.lease().then((client) => this.#give(client, first), first as (error: unknown) => void)
    return undefined
  }

  /** Where the clients come from. A subclass may lease them from another pool. */
  protected lease(options?: AcquireOptions): Promise<LeasedClient> {
    return super.connect(options)
  }

  #give(client: LeasedClient, callback: ConnectCallback): void {
    const { on, release } = client
    const isOfCreatePool = !this.#hasLeased
    this.#hasLeased = true
    client.on = (...[event, listener]: Parameters<typeof on>) => {
      if ((event as string) === 'error') return client
      if (!isOfCreatePool) return on.call(client, event, listener)
      this.on('connect', (each) => each.on(event, listener))
      physicalClient(client).on(event, listener)
      return client
    }
    callback(undefined, client, (discard) => {
      // With `clientPerLease: false` the next holder gets the same object.
      Reflect.deleteProperty(client, 'on')
      release(discard)
    })
  }
}
