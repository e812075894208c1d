import type { ClientBase, PoolClient, PoolConfig } from 'pg'
import type { Logger } from './logger.ts'
import type { RetryOptions } from './retry-options.ts'

/** What a reset function is told of the session. */
export interface ResetInfo {
  /** The protocol's own word: idle, in a transaction, in a failed one. */
  readonly transactionStatus: 'I' | 'T' | 'E'
  /** How often the connection has been leased. */
  readonly uses: number
}

/**
 * Resets a session in the user's own way. It has 5 seconds; if it throws, or takes longer, the connection is closed. A
 * transaction that it leaves open is rolled back.
 */
export type ResetFunction = (client: PoolClient, info: ResetInfo) => void | Promise<void>

/** What becomes of a session when its lease ends. See `PoolOptions.resetOnReturn`. */
export type ResetPolicy = 'rollback' | 'commit' | 'session' | 'discard' | 'none' | ResetFunction

/** How to prove a connection alive before it is leased. */
export interface PrePingOptions {
  /**
   * Ping a connection that has not heard from the server for this long, in milliseconds. 0 pings every time.
   *
   * @default 500: a busy service pays nothing, a quiet one a round trip.
   */
  readonly idleMillis?: number | undefined
  /**
   * How long the server may take to answer, in milliseconds. Then the connection is destroyed, and the caller gets
   * another one. Must be shorter than `connectionTimeoutMillis`.
   *
   * @default 1000
   */
  readonly timeoutMillis?: number | undefined
}

/**
 * Everything that `pg.Pool` takes, with the same meaning, and Holdfast's own. A key whose value is `undefined` counts
 * as absent.
 *
 * @see https://node-postgres.com/apis/pool
 */
export interface PoolOptions extends Omit<PoolConfig, 'onConnect'> {
  /** The most connections open at a time. @default 10 */
  readonly max?: number | undefined
  /**
   * Idle connections kept ready, as far as `max` allows. Opened in the background, the first ones after the first
   * `connect()`. (pg only refrains from closing them.)
   *
   * @default 0
   */
  readonly min?: number | undefined
  /**
   * The longest a caller waits in `connect()` or `query()` for its connection, in milliseconds: the queue, opening,
   * retries and the pre-ping together. 0 waits for ever.
   *
   * @default 30_000 (pg: none), as long as a failover of most managed servers takes.
   */
  readonly connectionTimeoutMillis?: number | undefined
  /** An idle connection unused for this long is closed, in milliseconds. 0 keeps it. @default 10_000 */
  readonly idleTimeoutMillis?: number | null | undefined
  /**
   * Idle connections kept: when as many lie idle, the next one released is closed, unless somebody waits for it.
   * `max: 15, maxIdle: 5` is SQLAlchemy's `pool_size=5, max_overflow=10`.
   *
   * @default `max`
   */
  readonly maxIdle?: number | undefined
  /**
   * Callers that may wait while all connections are in use; one more is refused at once, with a `PoolOverloadedError`.
   * `Infinity` lets everybody wait.
   *
   * @default Infinity
   */
  readonly maxWaiting?: number | undefined
  /**
   * Which idle connection is leased first: the freshest, so that the others can age and be closed; or, with `false`, the
   * one that has been idle longest, so that all are used evenly.
   *
   * @default true
   */
  readonly lifo?: boolean | undefined
  /**
   * Ping idle connections in the background when the server hasn't answered on them for this long, in milliseconds: so
   * that no firewall forgets them. Looked at once a second. 0 means never.
   *
   * @default 0
   */
  readonly keepaliveMillis?: number | undefined
  /**
   * Warn, with the stack that acquired it, about a connection that is held for longer than this, in milliseconds; once,
   * and again when it comes back. Looked at once a second; costs a stack trace per lease. 0 means never.
   *
   * @default 0
   */
  readonly leakDetectionMillis?: number | undefined
  /**
   * Have the server look, every so many milliseconds while it runs a statement, whether this process is still there, and
   * cancel the statement if not: sent at start-up as `client_connection_check_interval`. PostgreSQL 14 or later, on
   * Linux, macOS and the BSDs; a connection pooler in between may refuse it. 0 leaves it to the server's configuration.
   *
   * @default 0
   * @see https://www.postgresql.org/docs/current/runtime-config-connection.html
   */
  readonly clientConnectionCheckMillis?: number | undefined
  /** The age at which a connection is closed, or once it is released, in seconds. 0 means never. @default 0 */
  readonly maxLifetimeSeconds?: number | undefined
  /** The share of `maxLifetimeSeconds`, from 0 to 1, by which a life may be shorter, at random. @default 0.1 */
  readonly maxLifetimeJitter?: number | undefined
  /** A connection is closed after so many leases. @default Infinity */
  readonly maxUses?: number | undefined
  /** Let the process end while connections lie idle. @default false */
  readonly allowExitOnIdle?: boolean | undefined
  /**
   * Give each lease a client object of its own, which is refused for good after its release. With `false` all leases of a
   * connection get the same object, as with pg, and one that is used after its release is refused only until somebody
   * else has it. For programs that keep something per client object: see `physicalClient`.
   *
   * @default true
   */
  readonly clientPerLease?: boolean | undefined
  /**
   * Runs on each new connection before anyone gets it, and is awaited. If it throws, the connection is closed and its
   * error reaches the first who waits.
   */
  readonly onConnect?: ((client: ClientBase) => void | Promise<void>) | undefined
  /** Prove a connection alive before it is leased; a new one isn't pinged. @default true */
  readonly prePing?: boolean | PrePingOptions | undefined
  /**
   * What one dead connection means for the others: `'all'` retires every connection opened before it was noticed,
   * `'one'` only itself. A session that was closed for its own fault (57P05, 25P03, 25P04) never condemns others.
   *
   * @default 'all'
   */
  readonly invalidateOnDisconnect?: 'all' | 'one' | undefined
  /**
   * What becomes of a session when its lease ends, before anyone else gets it:
   * - `'rollback'`: an open transaction is rolled back;
   * - `'commit'`: it is committed, unless it failed;
   * - `'none'`: nothing is sent, and a connection with an open transaction is closed;
   * - `'session'`: as `'rollback'`, and SET, temporary tables, advisory locks, LISTEN, cursors and sequences' state are
   *   cleared; prepared statements stay;
   * - `'discard'`: as `'rollback'`, and DISCARD ALL, prepared statements included;
   * - a function: whatever it does.
   *
   * The first three cost no round trip when the session is clean, the next two none when the lease sent nothing. Until a
   * reset is done its connection isn't available, so under load more connections are opened, up to `max`. Since
   * `'session'` and `'discard'` undo what `onConnect` has set, it is called again; listeners of `connect` are not.
   *
   * @default 'rollback'
   * @see https://www.postgresql.org/docs/current/sql-discard.html
   */
  readonly resetOnReturn?: ResetPolicy | undefined
  /**
   * When to try again while the server refuses; `false` tells the caller at once. Bounded by the callers' own deadlines:
   * nobody waiting, nobody retrying.
   *
   * @default `{ retries: Infinity, minTimeout: 50, maxTimeout: 1000 }`: only one connection of the process is trying.
   */
  readonly connectRetry?: boolean | RetryOptions | undefined
  /** What `end()` and every polite goodbye are bounded by, in milliseconds. Then the socket is destroyed. @default 5000 */
  readonly closeTimeoutMillis?: number | undefined
  /** TCP keepalive. @default true (pg: false): the last resort against flows that a NAT forgot. */
  readonly keepAlive?: boolean | undefined
  /**
   * What becomes of a COMMIT whose answer is lost: `'resolve'` asks the server, over another connection, and ends in
   * success, in a `ConnectionLostError` with `commitOutcome: 'aborted'`, or, where the server itself can't know, in a
   * `CommitOutcomeUnknownError`. `'report'` asks nobody: `commitOutcome` is `'unknown'` then. PostgreSQL 13 or later; not
   * in pipeline mode, nor with a `Client` that has a `query` of its own.
   *
   * @default 'resolve'
   */
  readonly lostCommit?: 'resolve' | 'report' | undefined
  /**
   * How long the server may take to answer COMMIT, in milliseconds; then the connection is destroyed, and the server asked.
   * A session that is still at it then is terminated, unless it waits for a synchronous standby. 0 waits for ever. Only
   * where the outcome can be resolved.
   *
   * @default 30_000: a COMMIT that runs many deferred triggers may take its time.
   */
  readonly commitTimeoutMillis?: number | undefined
  /** Names this pool in warnings, logs and events. @default 'holdfast' */
  readonly name?: string | undefined
  /**
   * Log what the pool does, in the words of SQLAlchemy's pool log: `true` what changes, `'debug'` every lease as well.
   *
   * @default the environment variable HOLDFAST_ECHO (`1` or `debug`), else false
   */
  readonly echo?: boolean | 'debug' | undefined
  /**
   * Where echo and warnings go: anything with debug, info, warn and error, such as console, pino or winston.
   *
   * @default console for echo, `process.emitWarning` for warnings
   */
  readonly logger?: Logger | undefined
}
