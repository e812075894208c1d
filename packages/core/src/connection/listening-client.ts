import pg, { type ClientConfig } from 'pg'
import { guardReading } from '../driver/guarded-reading.ts'
import { internalsOf } from '../driver/internals.ts'
import { leasedClientClass } from './client.ts'

/**
 * What is found as `pool.Client`: whoever makes clients of his own by it (Kysely, to cancel a query) may listen to nothing,
 * and a cut must not end the process.
 *
 * @throws {OptionsError} if the pool can't use that class.
 */
export function clientThatListens(base: typeof pg.Client = pg.Client): typeof pg.Client {
  leasedClientClass(base)
  return class Client extends base {
    constructor(config?: string | ClientConfig) {
      super(config)
      this.on('error', () => {})
      const { connection } = internalsOf(this)
      guardReading(connection, (fault) => {
        connection.emit('error', fault)
        connection.stream.destroy()
      })
    }
  }
}
