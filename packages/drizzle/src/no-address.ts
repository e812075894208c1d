import { type ConnectCallback, type LeasedClient, OptionsError, Pool } from '@holdfast/core'

/**
 * Stands for the pool where no address is given: a program that is only built, or whose variables aren't set, may be loaded.
 * Whoever uses it is told.
 */
export class PoolWithoutAddress extends Pool {
  static {
    // Drizzle knows a pool by its name, minified or not.
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
