import type { ClientBase, PoolConfig } from 'pg'

/** What becomes of a transaction left open at release. See `PoolOptions.resetOnReturn`. */
export type ResetPolicy = 'rollback' | 'commit' | 'none'

/** How to prove a connection alive before it is lent. */
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
 * When to try again while the server refuses, as p-retry takes it. Bounded by the callers' own deadlines: nobody
 * waiting, nobody retrying.
 *
 * @see https://github.com/sindresorhus/p-retry#options
 */
export interface ConnectRetryOptions {
  /** How often to try again. @default Infinity: `connectionTimeoutMillis` is the bound. */
  readonly retries?: number | undefined
  /** The first pause, in milliseconds. @default 50 */
  readonly minTimeout?: number | undefined
  /** The longest pause, in milliseconds. @default 1000: only one connection of the process is trying. */
  readonly maxTimeout?: number | undefined
  /** By how much each pause is longer than the one before. @default 2 */
  readonly factor?: number | undefined
  /** Vary each pause between one and two times its length. @default true: many processes wake at once. */
  readonly randomize?: boolean | undefined
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
  /** The age at which a connection is closed, or once it is released, in seconds. 0 means never. @default 0 */
  readonly maxLifetimeSeconds?: number | undefined
  /** The share of `maxLifetimeSeconds`, from 0 to 1, by which a life may be shorter, at random. @default 0.1 */
  readonly maxLifetimeJitter?: number | undefined
  /** A connection is closed after so many leases. @default Infinity */
  readonly maxUses?: number | undefined
  /** Let the process end while connections lie idle. @default false */
  readonly allowExitOnIdle?: boolean | undefined
  /**
   * Runs on each new connection before anyone gets it, and is awaited. If it throws, the connection is closed and its
   * error reaches whoever waits.
   */
  readonly onConnect?: ((client: ClientBase) => void | Promise<void>) | undefined
  /** Prove a connection alive before it is lent; a new one isn't pinged. @default true */
  readonly prePing?: boolean | PrePingOptions | undefined
  /**
   * What one dead connection means for the others: `'all'` retires every connection opened before it was noticed,
   * `'one'` only itself. A session that was closed for its own fault (57P05, 25P03, 25P04) never condemns others.
   *
   * @default 'all'
   */
  readonly invalidateOnDisconnect?: 'all' | 'one' | undefined
  /**
   * What becomes of a transaction left open at release: `'rollback'`, `'commit'` (unless it failed), or `'none'`:
   * nothing is sent, and the connection is closed instead of inherited. A clean one costs no round trip.
   *
   * @default 'rollback'
   */
  readonly resetOnReturn?: ResetPolicy | undefined
  /** When to try again while the server refuses; `false` tells the caller at once. @default exponential backoff */
  readonly connectRetry?: false | ConnectRetryOptions | undefined
  /**
   * What every polite goodbye is bounded by, `end()` and the reset on release among them, in milliseconds. Then the
   * socket is destroyed.
   *
   * @default 5000
   */
  readonly closeTimeoutMillis?: number | undefined
  /** TCP keepalive. @default true (pg: false): the last resort against flows that a NAT forgot. */
  readonly keepAlive?: boolean | undefined
  /** Names this pool in warnings. @default 'holdfast' */
  readonly name?: string | undefined
}
