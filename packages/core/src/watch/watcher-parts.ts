import type { Row } from '../commit/server-report.ts'
import type { Host } from '../options/hosts.ts'
import type { ProofOfDeath } from '../policy/death.ts'
import type { Clock } from '../runtime/clock.ts'
import type { DeadStatement, WatchLimit } from '../telemetry/events.ts'
import type { SlowStatement } from '../telemetry/status.ts'
import type { SessionIdentity } from './look.ts'
import type { WatchedConnection } from './silence.ts'
import type { ServerClock } from './verdict.ts'

/** What was found out about a connection that is dead under a statement, when its session has been ended. */
export interface Death extends DeadStatement {
  /** What that proves of the statement; undefined for nothing. */
  readonly proof: ProofOfDeath | undefined
}

/** What the watch needs. */
export interface WatcherParts<Connection extends WatchedConnection> {
  readonly clock: Clock
  readonly silentMillis: number
  /** All connections of the pool. */
  readonly connections: () => Iterable<Connection>
  /** Asks the server in another session to the same host: any, or only one that the user's hooks have not seen. */
  readonly ask: (sql: string, how: 'any' | 'own', host: Host | undefined) => Promise<readonly Row[]>
  /** Whether the network leads to where this connection leads; undefined if that can't be found out. */
  readonly reaches: (connection: Connection) => Promise<boolean | undefined>
  /** A statement takes long, or undefined: it does not any more. */
  readonly onSlow: (connection: Connection, slow: SlowStatement | undefined) => void
  /** Told before the session is ended. */
  readonly onVerdict: (connection: Connection, dead: DeadStatement) => void
  /** The connection is to be given up. */
  readonly onDead: (connection: Connection, dead: Death) => void
  /** Told once. */
  readonly onLimited: (why: WatchLimit) => void
}

/** Who a session is, and the server's clock when it was opened. */
export interface KnownSession {
  readonly identity: SessionIdentity
  readonly clock: ServerClock
}
