import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import { ConnectError } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import { identityQuery, readIdentity } from '../watch/look.ts'
import type { KnownSession } from '../watch/watcher-parts.ts'

/** The watch, as new connections see it. */
export interface WatchOfPool {
  readonly isAwake: boolean
  wake(): void
  /** This session leads straight to its server, and is this one. */
  know(connection: Connection, session: KnownSession): void
  /** Whether a session of the pool didn't lead straight to its server. Then none is asked any more. */
  isRefused: boolean
}

/** What asking a new session takes. */
export interface IdentifyParts {
  readonly watch: WatchOfPool
  readonly clock: Clock
  /** How long the server may take to answer. */
  readonly millis: number
  /** How often the server is to look for this process while it runs a statement; 0 leaves that as it is. */
  readonly checkMillis: number
}

/**
 * Asks a new session who it is, for the watch: once, before its first lease, in a round trip of its own. A question that is
 * sent together with a statement would cost none, but poolers exist that mix up the answers. The question also has the server
 * look for this process while it runs a statement.
 *
 * @throws {ConnectError} if the connection is lost meanwhile.
 */
export async function identify(
  connection: Connection,
  { watch, clock, millis, checkMillis }: IdentifyParts,
): Promise<void> {
  if (watch.isRefused || connection.session.isDirect === false) return
  const askedAt = clock.now()
  try {
    const found = readIdentity(
      await ask(connection, identityQuery(connectionCheck(connection, checkMillis)), clock, millis),
    )
    const answeredAt = clock.now()
    if (found) connection.session.servedBy(found.backendPid)
    if (!found || !connection.session.isDirect) watch.isRefused = true
    else {
      const offset = found.now / 1000 - answeredAt
      watch.know(connection, { identity: found, clock: { offset, uncertainty: answeredAt - askedAt } })
    }
  } catch (error) {
    if (connection.loss) throw new ConnectError(connection.endpoint, connection.loss.cause)
    // Each refusal is an entry in the log of a server that isn't PostgreSQL, is too old, or forbids it.
    if (severityOf(error) !== undefined) watch.isRefused = true
  }
}

/**
 * Sets `client_connection_check_interval`, as a column of a query; does nothing where the session doesn't lead straight to its server,
 * before PostgreSQL 14, where the server or the user has set it, and on a system that can't tell of a closed socket.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-connection.html
 */
function connectionCheck({ backendPid }: Connection, checkMillis: number): string {
  if (checkMillis === 0 || backendPid === null) return ''
  return `,
  case when pg_catalog.pg_backend_pid() = ${backendPid} and pg_catalog.version() ~* 'linux|darwin|bsd'
    and pg_catalog.current_setting('client_connection_check_interval', true) = '0'
    then pg_catalog.set_config('client_connection_check_interval', '${checkMillis}', false) end as checked`
}
