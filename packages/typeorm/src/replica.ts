import { type AcquireOptions, type LeasedClient, Pool, PoolTimeoutError } from '@holdfast/core'

// As long as an idle connection may take to prove itself; a new one needs a few round trips.
const PATIENCE: AcquireOptions = { connectionTimeoutMillis: 1000 }
const ignore = (): void => {}

/** The pool of a replica, which knows whether its server is away. */
export class Replica extends Pool {
  #isAway = false
  readonly #closing = new AbortController()

  /** Undefined if the server is away. Somebody stays in line then, so that the pool goes on trying. */
  async lease(): Promise<LeasedClient | undefined> {
    if (!this.#isAway) return this.#attempt()
    if (this.waitingCount === 0) this.#look()
    return undefined
  }

  /** Whoever looks whether the server is back isn't worth waiting for. */
  override drain(millis: number): Promise<boolean> {
    const drained = super.drain(millis)
    this.#closing.abort()
    return drained
  }

  #look(): void {
    this.#attempt({ ...PATIENCE, signal: this.#closing.signal }).then((client) => client?.release(), ignore)
  }

  async #attempt(patience = PATIENCE): Promise<LeasedClient | undefined> {
    try {
      const client = await super.connect(patience)
      this.#isAway = false
      return client
    } catch (error) {
      const isTimeout = error instanceof PoolTimeoutError
      // What won't pass by itself, such as a wrong password, is for the next reader to know.
      this.#isAway = isTimeout && error.details.leased < error.details.max
      if (!isTimeout) throw error
      return this.#isAway ? undefined : super.connect() // All are in use: in line again.
    }
  }
}
