import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import type { Candidate, Host } from '../options/hosts.ts'
import type { Clock } from '../runtime/clock.ts'
import type { SessionAside } from '../watch/asking-session.ts'
import type { HostList } from './host-list.ts'
import { Logins } from './logins.ts'

const CLOSE_MILLIS = 1000

/** What opening a connection beside the pool takes. */
export interface AsideParts {
  readonly clock: Clock
  readonly deadlineMillis: number
  /** The hosts that are tried, if any of several will do. */
  readonly hosts?: HostList | undefined
  /** Makes a connection that isn't open: to this host, if there are several. */
  readonly make: (candidate: Candidate | undefined) => Connection
  /** Connects it. */
  readonly connect: (connection: Connection) => Promise<void>
}

/**
 * Opens a connection beside the pool's. It takes no slot of the pool, and the user's hooks don't see it. The
 * caller closes it.
 *
 * @throws {ConnectError} if the server can't be reached, or refuses.
 */
export async function openAside({ clock, deadlineMillis, hosts, make, connect }: AsideParts): Promise<Connection> {
  const drop = (connection: Connection, cause: Error): void => void connection.close(CLOSE_MILLIS, cause)
  const logins = new Logins({
    clock,
    deadlineMillis,
    maySpareOne: true,
    hosts,
    make: (_opener, candidate) => make(candidate),
    logIn: (connection) => {
      // It doesn't keep the process alive. A caller that waits for its answers does.
      connection.client.unref()
      return connect(connection)
    },
    isWanted: () => true,
    onSpare: () => {},
    onDropped: drop,
    onFailure: () => {},
    onLoggedIn: ({ client }) => client.unref(), // Again, since TLS has replaced the socket.
  })
  let last: Connection | undefined
  try {
    return (await logins.logIn((connection) => {
      last = connection
    })) as Connection
  } catch (error) {
    if (last) drop(last, error as Error)
    throw error
  }
}

/** A session beside the pool, for the pool's own questions: to this host, if there are several. */
export async function openSession(
  connector: { openAside(host?: Host): Promise<Connection> },
  clock: Clock,
  host: Host | undefined,
): Promise<SessionAside> {
  const connection = await connector.openAside(host)
  return {
    ask: (sql, timeoutMillis) => ask(connection, sql, clock, timeoutMillis),
    close: (timeoutMillis) => connection.close(timeoutMillis, undefined),
    destroy: () => connection.destroy(),
  }
}
