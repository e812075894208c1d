import pg, { type ClientConfig } from 'pg'
import { guardClient } from '../driver/guarded-reading.ts'
import { DriverSession } from '../driver/session.ts'
import { revealTls } from '../options/secrets.ts'
import { physicalClientClass } from './physical-client.ts'

/**
 * The class of `pool.Client`. A program that makes clients with it (Kysely, to cancel a query) may add no `error` listener, and
 * a broken connection must not end the process. TLS options that `pool.options` hides are passed to the driver unchanged.
 *
 * @throws {OptionsError} if the pool can't use that class.
 */
export function clientThatListens(base: typeof pg.Client = pg.Client): typeof pg.Client {
  physicalClientClass(base)
  return class Client extends base {
    constructor(config?: string | ClientConfig) {
      super(typeof config === 'object' ? revealTls(config) : config)
      this.on('error', () => {})
      const session = new DriverSession(this)
      guardClient(this, (fault) => session.fail(fault))
    }
  }
}

/** Where a client with these options would connect to; undefined if the driver refuses them. */
export function addressFor(options: ClientConfig): { readonly host: string; readonly port: number } | undefined {
  try {
    const { host, port } = new pg.Client(options)
    return { host, port }
  } catch {
    return undefined // Connecting reports the reason.
  }
}

/** The address in a connection string, as options of a client; nothing if the driver refuses it. */
export function addressIn(connectionString: string): object {
  try {
    const client = new pg.Client({ connectionString }) as pg.Client & { readonly ssl: unknown }
    const { host, port, user, database, password, ssl } = client
    return { host, port, user, database, ...(password && { password }), ...(ssl ? { ssl } : {}) }
  } catch {
    return {} // Connecting reports the reason.
  }
}
