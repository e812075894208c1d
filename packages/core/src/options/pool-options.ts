import type { ClientBase, PoolClient, PoolConfig } from 'pg'

/** Which servers suit. See `PoolOptions.targetSessionAttrs`. */
export type TargetSessionAttrs =
  | 'any'
  | 'read-write'
  | 'read-only'
  | 'primary'
  | 'standby'
  | 'prefer-standby'
  | 'prefer-primary'

/** One of several servers that a pool may connect to. See `PoolOptions.hosts`. */
export interface HostOptions {
  /** A name, an address (IPv6 with or without brackets), or the directory of a Unix socket. */
  readonly host: string
  /** By default `port`, else PGPORT. @default 5432 */
  readonly port?: number | undefined
  /** By default the pool's. */
  readonly password?: PoolConfig['password']
  /** By default the pool's. */
  readonly ssl?: PoolConfig['ssl']
}

/** The replicas of a primary, for `pool.reader`. See `PoolOptions.replicas`. */
export interface ReplicaOptions {
  /** Where they are, as in `hosts`. Those that are in hot standby suit, so a list of all servers of the cluster may stand here. */
  readonly hosts: readonly HostOptions[]
  /** The largest number of open connections of `pool.reader`, on all of its hosts together. @default the pool's `max` */
  readonly max?: number | undefined
  /** As the pool's `loadBalanceHosts`. @default 'random': each replica gets its share. */
  readonly loadBalanceHosts?: false | 'random' | 'round-robin' | undefined
  /**
   * What becomes of a read while no replica suits: each is down, is no standby any more, or lags.
   * - `'primary'`: `pool.reader` connects to the primary, with at most its own `max` connections, until a replica suits.
   * - `'wait'`: the caller waits until its deadline.
   * - `'fail'`: the caller is refused at once (`NoReplicaError`).
   *
   * @default 'primary'
   */
  readonly fallback?: 'primary' | 'wait' | 'fail' | undefined
  /**
   * By how many bytes of WAL a replica may be behind the primary. Checked for each new connection, and once a second while
   * `pool.reader` has connections: the primary is asked for its position (`pg_current_wal_lsn`), and the replica for what it has
   * replayed (`pg_last_wal_replay_lsn`). While the primary can't be asked, its last known position counts.
   *
   * @default Infinity: nothing is asked.
   */
  readonly maxLagBytes?: number | undefined
}

/** What a reset function is told about the session. */
export interface ResetInfo {
  /** The transaction status that the protocol reports: idle, in a transaction, in a failed transaction. */
  readonly transactionStatus: 'I' | 'T' | 'E'
  /** How many times the connection has been leased. */
  readonly uses: number
}

/**
 * Resets a session in the application's own way. It has 5 seconds. If it throws or takes longer, the connection is closed.
 * A transaction that it leaves open is rolled back.
 */
export type ResetFunction = (client: PoolClient, info: ResetInfo) => void | Promise<void>

/** How a session is cleaned when its lease ends. See `PoolOptions.resetOnReturn`. */
export type ResetPolicy = 'rollback' | 'commit' | 'session' | 'discard' | 'none' | ResetFunction

/** When a connection is pinged before it is leased. */
export interface PrePingOptions {
  /**
   * Ping a connection when the server has not answered on it for this long, in milliseconds. 0 pings before every lease.
   *
   * @default 500
   */
  readonly idleMillis?: number | undefined
  /**
   * How long the server may take to answer a ping, in milliseconds. After that the connection is destroyed, and the caller
   * gets another one. Must be shorter than `connectionTimeoutMillis`. If you don't set it, it is 5000 behind a pooler, and at most half
   * of `connectionTimeoutMillis`.
   *
   * @default 1000
   */
  readonly timeoutMillis?: number | undefined
}

/** When a statement that waits for its answer is looked at from another session. */
export interface WatchOptions {
  /**
   * Ask about a statement when no byte has come for this long, in milliseconds. Asked again after half of that, then after
   * twice, four times … as long, every 30 seconds at most.
   *
   * @default 500
   */
  readonly silentMillis?: number | undefined
  /** How long the server may take to answer such a question, in milliseconds. @default 1000 */
  readonly timeoutMillis?: number | undefined
}

/** When callers are refused that have waited for too long. See `PoolOptions.shedding`. */
export interface SheddingOptions {
  /** How long a caller may wait for a connection while the pool is overloaded, in milliseconds. @default 50 */
  readonly targetMillis?: number | undefined
  /** The pool is overloaded when no caller has waited for less than the target for this long, in milliseconds. @default 1000 */
  readonly intervalMillis?: number | undefined
}

/** Connections that pools share. See `PoolOptions.budget`. */
export interface BudgetOptions {
  /**
   * How many connections all pools that share the budget have together. Each pool takes one of them for a session of its own, in which it
   * asks what the others need.
   */
  readonly total: number
  /** Pools in the same database that give the same name share the budget, in any number of processes. */
  readonly name: string
  /** How many of them are left to pools that have no connection, so that one that comes late is heard at once. @default 1 */
  readonly reserve?: number | undefined
}

/** Which statements the pool prepares by itself. See `PoolOptions.prepare`. */
export interface PrepareOptions {
  /** A text is prepared when it is sent with values for so many times, counted for the whole pool. @default 5 */
  readonly threshold?: number | undefined
  /**
   * At most so many texts are prepared at a time on each connection. Another one takes the place of one that was not used for
   * a minute; if all are in use, it runs unprepared.
   *
   * @default 100
   */
  readonly max?: number | undefined
}

/**
 * When to try again: the options of p-retry.
 *
 * @see https://github.com/sindresorhus/p-retry#options
 */
export interface RetryOptions {
  /** How many times to try again. For transactions the default is 3. @default Infinity */
  readonly retries?: number | undefined
  /** The first pause, in milliseconds. @default 50 */
  readonly minTimeout?: number | undefined
  /** The longest pause, in milliseconds. @default 1000 */
  readonly maxTimeout?: number | undefined
  /** Each pause is this many times as long as the one before. @default 2 */
  readonly factor?: number | undefined
  /** Make each pause one to two times as long, at random, so that those that failed together don't retry together. @default true */
  readonly randomize?: boolean | undefined
}

/**
 * Where the pool writes to: `console`, a winston logger, or anything else with these four methods. Each message is one line of text,
 * without format characters and without further arguments. A pino logger is known, and used as a `StructuredLogger`.
 *
 * @example
 * ```ts
 * const pool = new Pool({ connectionString, logger: pino(), echo: true })
 * ```
 */
export interface Logger {
  /** Every lease, release and ping, under `echo: 'debug'`. */
  debug(message: string): void
  /** What happens to connections apart from leases, under `echo: true`. */
  info(message: string): void
  /** What an operator should look into, with and without `echo`. */
  warn(message: string): void
  /** A failure that no caller gets as an error, under `echo: true`. */
  error(message: string): void
}

/** What a line of the log is about. */
export interface LogFields {
  /** The option `name`. */
  readonly pool: string
  /** The type of the event: see `PoolEventType`. */
  readonly event: string
  /** The number of the connection in this pool, and the `pid` of its session in `pg_stat_activity`. */
  readonly connection?: string | number | undefined
  readonly backend?: number | null | undefined
  /** The code of a warning: `HOLDFAST_…`. */
  readonly code?: string | undefined
  /** Lines that belong to a warning: a stack. */
  readonly detail?: string | undefined
}

/** A logger that takes fields in front of the text, as pino does; any other one says so by `structured`. */
export interface StructuredLogger {
  readonly structured: true
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

/** The options of the pool that Holdfast reads. Each has its default and its check in `option-table.ts`. */
export interface OwnOptions {
  /** The largest number of open connections, those that are being opened included. @default 10 */
  readonly max?: number | undefined
  /**
   * The number of idle connections to keep ready, as far as `max` allows. They are opened in the background; the first
   * ones after the first `connect()`. (pg doesn't open any: it only doesn't close the last `min`.)
   *
   * @default 0
   */
  readonly min?: number | undefined
  /**
   * Share connections with the other pools that name the same budget, in any number of processes: all together never have more than
   * `total`. Who needs them gets an equal part, up to its `max`; who needs fewer leaves the rest to others. The server keeps the record, so every
   * pool must reach it directly: behind a connection pooler callers get a `BudgetError`, and `max` is what limits a process. Not with
   * several hosts.
   *
   * @default undefined
   */
  readonly budget?: BudgetOptions | undefined
  /**
   * Several servers, of which the pool finds the one to work on: a primary and its standbys. They may as well be written as
   * libpq writes them: `postgres://h1:5432,h2:5433/database` in `connectionString`, `host` and `port` as arrays or with commas,
   * PGHOST and PGPORT. `hosts` replaces all of these. `max` is for all hosts together. See [several hosts](hosts.md).
   */
  readonly hosts?: readonly HostOptions[] | undefined
  /**
   * Which servers suit, in the words of libpq (`target_session_attrs` in a URL, PGTARGETSESSIONATTRS). One that doesn't is
   * closed, and the next host is tried.
   * - `'any'`: each one that answers; once a primary has been found, and a write is refused, one that takes writes.
   * - `'read-write'`: one that takes writes by default.
   * - `'read-only'`: one that doesn't.
   * - `'primary'`: one that isn't in hot standby. `'standby'`: one that is.
   * - `'prefer-standby'`, `'prefer-primary'`: such a one if there is any, else each one that answers.
   *
   * @default 'any'
   */
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined
  /**
   * In which order the hosts are tried for each new connection: `false`: as they are listed. `'random'`: in a new order each time.
   * `'round-robin'`: each begins with the host after the one with which the last began. (`load_balance_hosts` in a URL,
   * PGLOADBALANCEHOSTS.)
   *
   * @default false
   */
  readonly loadBalanceHosts?: false | 'random' | 'round-robin' | undefined
  /**
   * How long the pool goes by what it knows of a host, in milliseconds: those that suit are tried first, those that could not be
   * reached last. All are tried if no other suits.
   *
   * @default 10_000
   */
  readonly hostRecheckMillis?: number | undefined
  /**
   * How long a host may be silent while a connection is opened, in milliseconds. Then the next host is tried beside it, and the
   * first one that suits is taken.
   *
   * @default 1000
   */
  readonly hostPatienceMillis?: number | undefined
  /**
   * Servers that follow the primary, for reads that may be a little old: `pool.reader` is a pool on them, and
   * `withPoolOptions({ target: 'reader' }, fn)` sends there what `fn` asks of the pool. All other options except `budget` are those of the pool.
   * Without `replicas`, `pool.reader` is the pool itself. See [replicas](hosts.md#replicas).
   */
  readonly replicas?: ReplicaOptions | undefined
  /**
   * The longest time that a caller waits in `connect()` or `query()` for its connection, in milliseconds. It includes the
   * queue, opening a connection with all retries, and the ping. 0 means no limit.
   *
   * @default 30_000
   */
  readonly connectionTimeoutMillis?: number | undefined
  /** Close an idle connection that has been unused for this long, in milliseconds. 0 means never. @default 10_000 */
  readonly idleTimeoutMillis?: number | null | undefined
  /**
   * The largest number of idle connections. While so many are idle, a connection that is released is closed, unless a
   * caller waits for it. `max: 15, maxIdle: 5` is SQLAlchemy's `pool_size=5, max_overflow=10`.
   *
   * @default max
   */
  readonly maxIdle?: number | undefined
  /**
   * The largest number of callers that may wait while all connections are in use. One more is refused at once, with a
   * `PoolOverloadedError`. `Infinity` means no limit.
   *
   * @default Infinity
   */
  readonly maxWaiting?: number | undefined
  /**
   * Refuse callers that have waited for too long, while the pool is overloaded. It is when every connection is in use, and no caller
   * has waited for less than `targetMillis` (50) during `intervalMillis` (1000). Then each caller that has waited for `targetMillis` gets
   * a `PoolOverloadedError` with `retryAfterMillis`, until an interval has passed without a refusal. Without this, a queue that has grown
   * long serves only callers that have given up by then. No caller is refused while connections are being opened, or the server is
   * away. `true` means these values.
   *
   * @default false
   */
  readonly shedding?: boolean | SheddingOptions | undefined
  /**
   * Which idle connection is leased first. `true`: the one that was used last, so that the others become idle for long
   * and are closed. `false`: the one that has been idle longest, so that all are used equally.
   *
   * @default true
   */
  readonly lifo?: boolean | undefined
  /**
   * Ping an idle connection in the background when the server has not answered on it for this long, in milliseconds, so
   * that no firewall drops it. Checked once a second. 0 means never.
   *
   * @default 0
   */
  readonly keepaliveMillis?: number | undefined
  /**
   * Warn about a connection that is held for longer than this, in milliseconds, with the stack of the caller that acquired
   * it: once, and again when it is released. Checked once a second. Costs a stack trace for each lease. 0 means never.
   *
   * @default 0
   */
  readonly leakDetectionMillis?: number | undefined
  /**
   * How often the server checks, while it runs a statement, that this process is still connected, in milliseconds. If it
   * isn't, the server cancels the statement. Needs PostgreSQL 14 on Linux, macOS or BSD. 0 leaves it to the server's
   * configuration.
   *
   * What you set is sent at start-up, as `client_connection_check_interval`; PgBouncer refuses it, unless it is told to ignore
   * it. The default is set with the question of `watch`, only in a session that leads straight to its server, and only where
   * nothing else has set it. It lasts until the session is reset (`resetOnReturn: 'session'` or `'discard'`).
   *
   * @default 10_000
   * @see https://www.postgresql.org/docs/current/runtime-config-connection.html
   */
  readonly clientConnectionCheckMillis?: number | undefined
  /** The age at which a connection is closed, in seconds; one that is leased, when it is released. 0 means never. @default 0 */
  readonly maxLifetimeSeconds?: number | undefined
  /** The share of `maxLifetimeSeconds`, from 0 to 1, by which a connection's lifetime is shortened at random. @default 0.1 */
  readonly maxLifetimeJitter?: number | undefined
  /** Close a connection after this many leases. 0 and `Infinity` mean no limit. @default Infinity */
  readonly maxUses?: number | undefined
  /** Let the process exit while connections are idle. @default false */
  readonly allowExitOnIdle?: boolean | undefined
  /**
   * Give each lease a client object of its own, which refuses every call after its release. With `false` all leases of a
   * connection share one object, as in pg; a call after the release is refused only until the next lease. For programs
   * that store something per client object: see `physicalClient`.
   *
   * @default true
   */
  readonly clientPerLease?: boolean | undefined
  /**
   * Runs on each new connection before its first lease, and is awaited. If it throws, the connection is closed and the
   * first waiter gets the error.
   */
  readonly onConnect?: ((client: ClientBase) => void | Promise<void>) | undefined
  /**
   * Check that a connection is alive before it is leased, with a ping, if the server has not answered on it for
   * `idleMillis`. A new connection isn't pinged. An object changes one or both values; `true` is the default; `false` never
   * pings.
   *
   * @default { idleMillis: 500, timeoutMillis: 1000 }
   */
  readonly prePing?: boolean | PrePingOptions | undefined
  /**
   * Find the statements whose connection is dead while they wait for an answer: `pg_stat_activity`, read in another session,
   * tells them from slow ones, which are left alone (`inspect()` shows what they wait for). A dead connection is destroyed,
   * its session is ended, and its statement fails with a `ConnectionLostError`. Uses an idle connection of the pool, else one
   * beside `max` for as long as it is needed. An object changes one or both values; `true` is the default; `false` never
   * asks.
   *
   * Needs PostgreSQL 13 and a direct session. Behind a pooler, where the role doesn't see its own sessions, and for COPY, only
   * a network that leads nowhere is found. Not available in pipeline mode, with a `stream` that is one socket, nor with a
   * `Client` that has a `query` of its own.
   *
   * @default { silentMillis: 500, timeoutMillis: 1000 }
   */
  readonly watch?: boolean | WatchOptions | undefined
  /**
   * What one dead connection means for the others.
   * - `'suspect'`: each must answer a ping before its next lease, unless it has answered a statement since, and another one shows
   *   that the server lives. A second sign retires those that were opened before: a ping
   *   fails, another one is lost before any has answered, or connecting is refused. What tells of all sessions retires them
   *   at once: a crash of the server (57P02), a dropped database (57P04), a primary that has become a standby. If `prePing`
   *   is `false`, as `'all'`.
   * - `'all'`: every connection that was opened before the failure was noticed is retired at once.
   * - `'one'`: only the dead one is retired. Three failed pings in a row retire the others.
   *
   * A session that the server closed for a reason of its own (57P05, 25P03, 25P04) says nothing of the others.
   *
   * @default 'suspect'
   */
  readonly invalidateOnDisconnect?: 'all' | 'suspect' | 'one' | undefined
  /**
   * How a session is cleaned when its lease ends, before the next caller gets it:
   * - `'rollback'`: an open transaction is rolled back;
   * - `'commit'`: an open transaction is committed, unless it failed;
   * - `'none'`: nothing is sent, and a connection with an open transaction is closed;
   * - `'session'`: as `'rollback'`, and SET, temporary tables, advisory locks, LISTEN, cursors and the state of sequences
   *   are cleared; prepared statements stay;
   * - `'discard'`: as `'rollback'`, and DISCARD ALL, which drops prepared statements too;
   * - a function: what it does.
   *
   * The first three cost no round trip when the session is clean, the next two none when the lease sent nothing. A
   * connection isn't available until its reset is done, so under load more connections are opened, up to `max`.
   * `'session'` and `'discard'` undo what `onConnect` has set, so `onConnect` runs again; listeners of `connect` don't.
   *
   * @default 'rollback'
   * @see https://www.postgresql.org/docs/current/sql-discard.html
   */
  readonly resetOnReturn?: ResetPolicy | undefined
  /**
   * When to try again while the server can't be reached. `false` reports the first failure to the caller at once. Retries
   * end at the deadline of the callers, and stop when no caller waits. Only one connection of the pool retries at a time. While
   * connecting is refused at once (nothing listens, the server starts up or is full, a pooler or proxy has no server), no
   * pause is longer than 200 ms, unless `minTimeout` is.
   *
   * @default { retries: Infinity, minTimeout: 50, maxTimeout: 1000, factor: 2, randomize: true }
   */
  readonly connectRetry?: boolean | RetryOptions | undefined
  /**
   * How long `end()` and the closing of a single connection may take, in milliseconds. For so long `end()` serves the callers
   * that wait already. After that the socket is destroyed.
   *
   * @default 5000
   */
  readonly closeTimeoutMillis?: number | undefined
  /** Turn on TCP keepalive, so that the operating system finds a dead connection in the end. @default true */
  readonly keepAlive?: boolean | undefined
  /**
   * How long a socket must be silent before TCP keepalive asks for the first time, in milliseconds. 0 leaves it to the
   * operating system. Without `keepAlive` it has no effect. It doesn't find a server that doesn't answer a statement: while
   * sent bytes are unacknowledged, the operating system sends them again instead.
   *
   * @default 10_000
   */
  readonly keepAliveInitialDelayMillis?: number | undefined
  /**
   * What to do about a COMMIT whose answer is lost. `'resolve'`: ask the server, over another connection. The call then
   * succeeds, or rejects with a `ConnectionLostError` with `commitOutcome: 'aborted'`, or, if the server can't know, with a
   * `CommitOutcomeUnknownError`. `'report'`: don't ask; `commitOutcome` is `'unknown'`. Needs PostgreSQL 13; not available
   * in pipeline mode, nor with a `Client` that has a `query` of its own.
   *
   * @default 'resolve'
   */
  readonly lostCommit?: 'resolve' | 'report' | undefined
  /**
   * How long the server may take to answer COMMIT, in milliseconds. After that the connection is destroyed, and the server
   * is asked for the outcome. A session that still runs the COMMIT is then terminated, unless it waits for a synchronous
   * standby. 0 means no limit. Has an effect only where `lostCommit: 'resolve'` has one.
   *
   * @default 30_000
   */
  readonly commitTimeoutMillis?: number | undefined
  /**
   * Run a plain read again, at most 3 times, if its connection is lost and it may have run: with `pool.query`, and the first
   * statement of a client of `connect()`, outside of a transaction. It runs as `BEGIN READ ONLY`, the statement and `COMMIT`, in
   * one write, so that the server itself guarantees that nothing is written twice. A plain read is one SELECT, VALUES, TABLE or WITH that
   * locks nothing, and whose functions only read: pg_catalog, or this database, declares each of them immutable or stable.
   * A statement with `retryRead: false` is left alone, and so are cursors and streams.
   *
   * @default true
   */
  readonly retryReads?: boolean | undefined
  /**
   * Run each single write in a transaction of its own, as `transactional: true` does for one: with `pool.query`, and on a
   * client of `connect()` outside of a transaction, so that it holds for ORMs as they are. A write costs one round trip
   * more. Its outcome is then known or found out. A statement with `transactional: false` is left alone, and so are plain
   * reads, several statements in one text, CALL, DO, COPY, cursors and streams, what is sent while another statement runs on
   * the same client, and what can't run in a transaction, such as VACUUM. Not available in pipeline mode, nor with a `Client`
   * that has a `query` of its own.
   *
   * @default false
   */
  readonly transactionalWrites?: boolean | undefined
  /**
   * Prepare statements with values that are sent often, so that the server plans them once per connection: it then needs about
   * half of the time. A text gets a name that is made from its hash. Like a statement with a `name` of yours, it is prepared
   * again when a table has changed.
   *
   * `'auto'`: only if the server is known to be at the other end, and no pooler such as PgBouncer. `true`: in any case. `false`:
   * never. An object: as `'auto'`, with other numbers. `prepare: false` in a query config excludes a single statement. A
   * function that is declared IMMUTABLE must be so: it may be computed once for many executions.
   *
   * Not prepared are texts of more than 10,000 characters, `select *` in transactions (a column that is added would make them
   * fail), texts with the words now, today, tomorrow or yesterday (in a literal the server would read them once), and texts
   * that turn out slower: see the event `prepare-stopped`. In pipeline mode, and with `resetOnReturn: 'discard'`, the option
   * has no effect.
   *
   * @default 'auto'
   */
  readonly prepare?: 'auto' | boolean | PrepareOptions | undefined
  /**
   * How many plain reads of `pool.query` may share a connection: when all connections are in use, a read is sent behind others,
   * without waiting for their answers. 1 means that none is. A plain read is one SELECT, VALUES, TABLE or WITH that locks nothing,
   * and whose functions pg_catalog declares immutable or stable. Writes, transactions and clients of `connect()` always have a
   * connection of their own, and get it in order of arrival; for writes see `pipelineWrites`.
   *
   * A text is shared when the pool has seen that it is fast. If the read in front takes longer than usual (50 ms or more),
   * those behind it run on another connection, too, in a transaction that only reads, and the first answer counts. If the
   * connection is lost, all run again. A read that has run into its `query_timeout` behind another one leaves the connection alive.
   *
   * Not shared are reads with a `signal`, in a scope of `withPoolOptions`, with `retryRead: false` or `rows`, cursors and streams;
   * and none where another process than the server may answer (PgBouncer), with listeners for `acquire` or `release`, with a
   * `connect` or `query` of your own, with `retryReads: false`, in pipeline mode, or with a `resetOnReturn` other than
   * `'rollback'` and `'none'`.
   *
   * @default 16
   */
  readonly maxPipeline?: number | undefined
  /**
   * Whether writes of `pool.query` share connections as plain reads do: see `maxPipeline`. A write is one INSERT, UPDATE, DELETE or
   * MERGE without WITH in front. Each commits by itself, and an error concerns that statement alone. The conditions are those of
   * `maxPipeline`; with `transactionalWrites` the option has no effect.
   *
   * A write can't run on a second connection. So if the statement in front of it takes longer than usual (50 ms or more), as one does
   * that waits for a lock, the pool has the server cancel that one, and runs it again on a connection of its own. A transaction
   * may therefore wait for a write of `pool.query` without a deadlock. Triggers and sequences see the cancelled run as well.
   *
   * If the connection is lost, the outcome of the write that the server executed may be unknown, and that of those behind it too:
   * up to `maxPipeline` writes instead of one. What the server says that it hasn't begun runs again.
   *
   * @default false
   */
  readonly pipelineWrites?: boolean | undefined
  /**
   * What is between the pool and its server:
   * - `'auto'`: the pool finds out. Behind a pooler, the process that serves a session isn't the one that its login named: the
   *   question of `watch` shows that on the first connection; without `watch` the first transaction does, or the first statement
   *   with values that is sent for the fifth time. What only a pooler says (PgBouncer, Supavisor, RDS Proxy, pgcat) shows it, too.
   * - `'none'`: the server itself, so that nothing must be shown first. If a session shows a pooler, that counts, and the pool warns.
   * - `'session'`, `'transaction'`: a pooler (or proxy) that gives each connection, or each transaction, a session of the server.
   *
   * Behind one, nothing is prepared by itself unless `prepare` is `true`, no statements share a connection (`maxPipeline`), a new connection
   * must answer a ping before it counts as open, and a ping may take 5 seconds (unless you set `prePing.timeoutMillis`): it waits
   * for a session of the pooler, so a late one condemns only its own connection. Where transactions have sessions of their own, the pool
   * warns once of what can't work: LISTEN, advisory locks of the session, and `resetOnReturn: 'session'` or `'discard'`. See
   * [behind a pooler](poolers.md).
   *
   * @default 'auto'
   */
  readonly pooler?: 'auto' | 'none' | 'session' | 'transaction' | undefined
  /** The name of this pool in warnings, logs and events. @default 'holdfast' */
  readonly name?: string | undefined
  /**
   * Log what the pool does, in the words of SQLAlchemy's pool log. `true`: every change. `'debug'`: every lease as well. If
   * you don't set it, the environment variable `HOLDFAST_ECHO` decides (`1` or `debug`).
   *
   * @default false
   */
  readonly echo?: boolean | 'debug' | undefined
  /**
   * Where the echo and the warnings go: anything with `debug`, `info`, `warn` and `error`, such as console, pino or
   * winston. Without a logger, the echo goes to the console, and warnings go to `process.emitWarning`.
   */
  readonly logger?: Logger | StructuredLogger | undefined
}

/**
 * All options of `pg.Pool`, with the same meaning, and those of Holdfast. A key with the value `undefined` counts as
 * absent.
 *
 * @see https://node-postgres.com/apis/pool
 */
export interface PoolOptions extends Omit<PoolConfig, keyof OwnOptions | 'host' | 'port'>, OwnOptions {
  /** As in `pg.Pool`; or several, as an array or with commas: see `hosts`. */
  readonly host?: string | readonly string[] | undefined
  /** As in `pg.Pool`; or one for each of several hosts, as an array or with commas. */
  readonly port?: number | string | readonly (number | string)[] | undefined
}
