import type { Connection } from '../connection/connection.ts'
import type { Clock } from '../runtime/clock.ts'
import { Logins } from './logins.ts'

const CLOSE_MILLIS = 1000

/** What opening a connection beside the pool takes. */
export interface AsideParts {
  readonly clock: Clock
  readonly deadlineMillis: number
  /** Makes a connection that isn't open. */
  readonly make: () => Connection
  /** Connects it. */
  readonly connect: (connection: Connection) => Promise<void>
}

/**
 * Opens a connection for the pool's own questions. It takes no slot of the pool, and the user's hooks don't see it. The
 * caller closes it.
 *
 * @throws {ConnectError} if the server can't be reached, or refuses.
 */
export async function openAside({ clock, deadlineMillis, make, connect }: AsideParts): Promise<Connection> {
  const drop = (connection: Connection, cause: Error): void => void connection.close(CLOSE_MILLIS, cause)
  const logins = new Logins({
    clock,
    deadlineMillis,
    maySpareOne: true,
    make,
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
