import {
  type AcquireOptions,
  type ConnectCallback,
  type LeasedClient,
  mayShare,
  Pool,
  type PoolOptions,
  physicalClient,
  readOn,
  sharesReads,
} from '@holdfast/core'
import type { QueryResult } from 'pg'
import { patchRunners, type ReadingPool } from './late-runners.ts'

/*
 * Everything that is changed in TypeORM is in this file, or named here. It was written for typeorm >=1.0 <2, and read in 1.1.1.
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
 *
 * 3. A query runner leases a connection for its first statement, so plain reads never share one (`maxPipeline`). With a pool whose
 *    reads do, `late-runners` replaces `query` and `connect` of `PostgresQueryRunner.prototype`: `query` asks for its connection by
 *    `this.connect()`, before it returns its promise, and gets a client that only reads.
 *    If TypeORM changes this, reads lease connections again, and 'the plain reads of repositories share a connection' in
 *    test/adapters/typeorm/late-runners.test.ts fails.
 */

/** A pool as TypeORM uses it: what `connect(callback)` gives takes TypeORM's listeners as described above. */
export class TypeormPool extends Pool implements ReadingPool {
  #hasLeased = false

  constructor(options?: PoolOptions) {
    super(options)
    readLate(this)
  }

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

  mayRead(text: string): boolean {
    return mayShare(this, text)
  }

  /** Runs a plain read. A subclass that leases from another pool reads there, too. */
  read(text: string, values: unknown[] | undefined): Promise<QueryResult> {
    return readOn(this, text, values)
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

/** Has query runners lease no connection for plain reads, if those of this pool share connections. */
export function readLate(pool: Pool): void {
  if (sharesReads(pool)) patchRunners((master) => (master instanceof TypeormPool ? master : undefined))
}
