import pg, { type ClientConfig } from 'pg'
import { guardReading } from '../driver/guarded-reading.ts'
import { internalsOf } from '../driver/internals.ts'
import { revealTls } from '../options/secrets.ts'
import { physicalClientClass } from './physical-client.ts'

/**
 * What is found as `pool.Client`: whoever makes clients of his own by it (Kysely, to cancel a query) may listen to nothing,
 * and a cut must not end the process. TLS options that `pool.options` hides are given to the driver as they were.
 *
 * @throws {OptionsError} if the pool can't use that class.
 */
export function clientThatListens(base: typeof pg.Client = pg.Client): typeof pg.Client {
  physicalClientClass(base)
  return class Client extends base {
    constructor(config?: string | ClientConfig) {
      super(typeof config === 'object' ? revealTls(config) : config)
      this.on('error', () => {})
      const { connection } = internalsOf(this)
      guardReading(connection, (fault) => {
        connection.emit('error', fault)
        connection.stream.destroy()
      })
    }
  }
}

/** What a connection string says of where it leads, as options of a client; nothing if the driver refuses it. */
export function addressIn(connectionString: string): object {
  try {
    const client = new pg.Client({ connectionString }) as pg.Client & { readonly ssl: unknown }
    const { host, port, user, database, password, ssl } = client
    return { host, port, user, database, ...(password && { password }), ...(ssl ? { ssl } : {}) }
  } catch {
    return {} // Whoever connects is told.
  }
}
