import { type AcquireOptions, type LeasedClient, type PoolOptions, PoolTimeoutError } from '@holdfast/core'
import { TypeormPool } from './typeorm-patches.ts'

// An idle connection may take this long to answer its ping. A new connection needs a few round trips.
const BRIEFLY: AcquireOptions = { connectionTimeoutMillis: 1000 }
const ignore = (): void => {}

/** Leases a client for a query that only reads, if possible from this replica. */
export type LeaseForReading = (replica: ReplicaPool) => Promise<LeasedClient>

/** The pool of a replica. It remembers whether the replica is down. */
export class ReplicaPool extends TypeormPool {
  readonly #leaseForReading: LeaseForReading
  readonly #closing = new AbortController()
  #isDown = false

  constructor(options: PoolOptions, leaseForReading: LeaseForReading) {
    super(options)
    this.#leaseForReading = leaseForReading
  }

  protected override lease(): Promise<LeasedClient> {
    return this.#leaseForReading(this)
  }

  /** Resolves with undefined if the replica is down. One waiter then stays in the queue, so that the pool keeps connecting. */
  async leaseUnlessDown(): Promise<LeasedClient | undefined> {
    if (!this.#isDown) return this.#leaseBriefly()
    if (this.waitingCount === 0) this.#checkWhetherUp()
    return undefined
  }

  /** Doesn't wait for the waiter that only checks whether the replica is up again. */
  override drain(millis: number): Promise<boolean> {
    const drained = super.drain(millis)
    this.#closing.abort()
    return drained
  }

  #checkWhetherUp(): void {
    this.#leaseBriefly({ ...BRIEFLY, signal: this.#closing.signal }).then((client) => client?.release(), ignore)
  }

  async #leaseBriefly(options = BRIEFLY): Promise<LeasedClient | undefined> {
    try {
      const client = await super.lease(options)
      this.#isDown = false
      return client
    } catch (error) {
      const isTimeout = error instanceof PoolTimeoutError
      // Other errors, such as a wrong password, don't pass by themselves: the next reader is told again.
      this.#isDown = isTimeout && error.details.leased < error.details.max
      if (!isTimeout) throw error
      // Up, with all connections in use: wait for one, as long as the pool's own timeout allows.
      return this.#isDown ? undefined : super.lease()
    }
  }
}
