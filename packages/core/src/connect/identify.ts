import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/internal-query.ts'
import { ConnectError } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import { IDENTITY_QUERY, readIdentity } from '../watch/look.ts'
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

/**
 * Asks a new session who it is, for the watch: once, before its first lease, in a round trip of its own. A question that is
 * sent together with a statement would cost none, but poolers exist that mix up the answers.
 *
 * @throws {ConnectError} if the connection is lost meanwhile.
 */
export async function identify(
  connection: Connection,
  watch: WatchOfPool,
  clock: Clock,
  millis: number,
): Promise<void> {
  if (watch.isRefused) return
  const askedAt = clock.now()
  try {
    const found = readIdentity(await ask(connection, IDENTITY_QUERY, clock, millis))
    const answeredAt = clock.now()
    if (!found || found.backendPid !== connection.backendPid) watch.isRefused = true
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
