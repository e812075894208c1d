import { type LeasedClient, OptionsError, Pool, PoolClosedError } from '@holdfast/core'
import pg from 'pg'
import { attune } from './attune.ts'

/**
 * The `driver` that has TypeORM share a pool of the application's: `destroy()` doesn't end it, `initialize()` works again.
 *
 * @throws {OptionsError} when it isn't a Holdfast pool, or has ended; in `initialize()`, when TypeORM's options say what
 * is the pool's to say: where the server is, `poolSize`, `extra`.
 */
export function borrow(pool: Pool): object {
  if (!(pool instanceof Pool) || pool.ending)
    throw new OptionsError(['`pool` must be a Pool of @holdfast/core (one copy of it) that has not ended.'])
  function BorrowedPool(config: Record<string, unknown>): Pool {
    const said = Object.keys(config).filter((key) => config[key] !== undefined)
    if (said.length > 0) throw new OptionsError(said.map((key) => `\`${key}\` must be absent: it is the pool's.`))
    const [status, addListener] = [pool.status.bind(pool), pool.addListener.bind(pool)]
    const closing = new AbortController()
    const lease = (): Promise<LeasedClient> => pool.connect({ signal: closing.signal })
    // The pool is its owner's: only this data source is refused when its time is up.
    const drain = (millis: number): Promise<boolean> => {
      const close = (): void => closing.abort(new PoolClosedError('The data source has been drained'))
      AbortSignal.timeout(millis).addEventListener('abort', close)
      return pool.drain(millis, { close: false })
    }
    return attune(Object.assign(new Pool(), { status, addListener, drain, end: process.nextTick }), lease)
  }
  return { ...pg, Pool: BorrowedPool }
}
