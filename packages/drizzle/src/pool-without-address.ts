import { type ConnectCallback, type LeasedClient, OptionsError, Pool } from '@holdfast/core'

/**
 * The pool of a database for which no address is given. Making it is allowed, so that a program whose variables aren't
 * set may be built and loaded. Using it fails with an error that asks for the variable.
 */
export class PoolWithoutAddress extends Pool {
  static {
    // Drizzle recognises a pool by its class name, so a minifier must not change it.
    Object.defineProperty(PoolWithoutAddress, 'name', { value: 'PoolWithoutAddress' })
  }

  override connect(): Promise<LeasedClient>
  override connect(callback: ConnectCallback): void
  override connect(callback?: unknown): Promise<LeasedClient> | undefined {
    const error = new OptionsError([
      'drizzle was given no connection string: is the variable set that it comes from, such as DATABASE_URL? It takes a ' +
        'connection string, `client` or `connection`; `connection: {}` is for the PG* variables.',
    ])
    if (typeof callback !== 'function') return Promise.reject(error)
    process.nextTick(callback, error, undefined, () => {})
    return undefined
  }
}
