import pg from 'pg'

/** Runs while its parent's event loop is blocked: terminates sessions, and ends when they are gone. */

/** What to do. */
export interface Termination {
  readonly config: pg.ClientConfig
  /** Whose sessions. */
  readonly applicationName: string
}

const { config, applicationName } = JSON.parse(process.argv[2] ?? '') as Termination
const client = new pg.Client(config)
await client.connect()
const terminate = 'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1'
while ((await client.query(terminate, [applicationName])).rowCount !== 0);
await client.end()
