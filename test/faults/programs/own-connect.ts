import { Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'

/** Has a client class of its own, whose connect takes only a callback, and nothing to do when its statement has ended. */

/** With what to begin. */
export interface OwnConnect {
  readonly options: PoolOptions
  readonly what: 'works' | 'fails' | 'never'
}

const { options, what } = JSON.parse(process.argv[2] ?? '') as OwnConnect

class Client extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
  override connect(callback?: any): any {
    void Promise.resolve().then(() => {
      if (what === 'works') return super.connect(callback)
      super.connect(() => what === 'fails' && callback(new Error('no token')))
      return undefined
    })
  }
}

const pool = new Pool({ ...options, allowExitOnIdle: true, Client: Client as never, name: 'own' })
const told = await pool.query('select 1').then(
  () => 'served',
  (error) => (error.code === 'HOLDFAST_POOL_TIMEOUT' ? error.code : error.cause.message),
)
process.send?.(told)
process.disconnect?.()
