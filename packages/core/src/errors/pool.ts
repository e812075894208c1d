import { codeOf, isInstance, messageOf } from '../thrown.ts'
import { HoldfastError, pinName } from './holdfast-error.ts'

/** Where a connection leads to. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly database: string | undefined
  /** All hosts that were tried, if the pool has several. */
  readonly hosts?: readonly { readonly host: string; readonly port: number }[]
  /** What to check: nothing says where the server is, or a pooler refuses what an option sends at start-up. */
  readonly hint?: string
}

/**
 * A connection could not be opened, and trying again would not help (or was not allowed). `code` is that of `cause`
 * (a SQLSTATE or an errno), else 08001.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export class ConnectError extends HoldfastError {
  readonly endpoint: Endpoint

  constructor(endpoint: Endpoint, cause: unknown) {
    const { database, hint, hosts = [endpoint] } = endpoint
    const list = hosts.map(({ host, port }) => `${host}:${port}`).join(',')
    const where = `${list}${database === undefined ? '' : `, database ${database}`}${hint ? `; ${hint}` : ''}`
    super(codeOf(cause) ?? '08001', `${messageOf(cause)} (connecting to ${where})`, {
      cause,
    })
    this.endpoint = endpoint
  }

  static {
    pinName(ConnectError, 'ConnectError')
  }
}

/**
 * No replica can be used (`replicas`): under `fallback: 'fail'` none is up, and near enough to the primary (`maxLagBytes`); or none
 * has replayed what `after` asks for until the deadline. `cause` tells what is known of each. Nothing was sent.
 */
export class NoReplicaError extends ConnectError {
  override readonly code = 'HOLDFAST_NO_REPLICA'

  static {
    pinName(NoReplicaError, 'NoReplicaError')
  }
}

/** Whether this error is that of all hosts of a pool that has several. */
export function isOfAllHosts(error: unknown): boolean {
  return isInstance(error, ConnectError) && error.endpoint.hosts !== undefined
}

/** Why connecting failed: the cause of a `ConnectError`, else the error itself. That there is no replica is final by itself. */
export function connectCauseOf(error: unknown): unknown {
  return isInstance(error, ConnectError) && !isInstance(error, NoReplicaError) ? error.cause : error
}

/** A copy of a failure to connect, so that each caller that is told of it gets its own stack. */
export function copyOf(error: Error): Error {
  if (isInstance(error, NoReplicaError)) return new NoReplicaError(error.endpoint, error.cause)
  return isInstance(error, ConnectError) ? new ConnectError(error.endpoint, error.cause) : error
}

/** The cause of a connect that took too long. Its errno is that of any other timeout of a socket. */
export function noAnswer(millis: number): Error {
  return Object.assign(new Error(`no answer within ${Math.round(millis)} ms`), { code: 'ETIMEDOUT' })
}

/** The counts of a pool at one moment. */
export interface PoolCounts {
  /** The option `max`. */
  readonly max: number
  /** Connections in use. */
  readonly leased: number
  /** Ready to be used. */
  readonly idle: number
  /** Being connected. */
  readonly opening: number
  /** Being pinged. */
  readonly checking: number
  /** Being reset after a release. */
  readonly resetting: number
  /** Callers that wait for a connection. */
  readonly waiting: number
}

/** The lease that is held for longest. */
export interface LongestLease extends Partial<LeaseUse> {
  readonly heldMillis: number
  readonly backendPid: number | null
}

/** What a lease is used for at one moment, as in `pool.inspect()`. */
export interface LeaseUse {
  readonly label: string | undefined
  readonly statement: string | undefined
  readonly transaction: 'open' | 'failed' | undefined
}

/** Why a caller of `connect()` waited until its deadline. All counts are those of that moment; the caller waits no more. */
export interface PoolTimeoutDetails extends PoolCounts {
  /** How long the caller has waited, in milliseconds. */
  readonly waitedMillis: number
  /** For how long the longest lease has been held, in milliseconds, and by which server process. */
  readonly longestLease: LongestLease | undefined
}

/**
 * No connection could be leased within `connectionTimeoutMillis`. If the server is the reason, `cause` is the last failure to
 * connect. Without a `cause` all connections were in use: look at `details`, release sooner, or raise `max`.
 */
export class PoolTimeoutError extends HoldfastError {
  readonly details: PoolTimeoutDetails

  constructor(details: PoolTimeoutDetails, cause: unknown) {
    super('HOLDFAST_POOL_TIMEOUT', describeTimeout(details, cause), cause === undefined ? {} : { cause })
    this.details = details
  }

  static {
    pinName(PoolTimeoutError, 'PoolTimeoutError')
  }
}

function describeTimeout(details: PoolTimeoutDetails, cause: unknown): string {
  const { waitedMillis, max, leased, idle, opening, checking, resetting, waiting, longestLease } = details
  const rare = `${checking > 0 ? `, ${checking} being pinged` : ''}${resetting > 0 ? `, ${resetting} being reset` : ''}`
  const counts = `${leased} of ${max} in use, ${idle} idle, ${opening} connecting${rare}, ${waiting} waiting`
  const longest = longestLease
    ? `; held longest: ${Math.round(longestLease.heldMillis)} ms by backend ${longestLease.backendPid ?? 'unknown'}${useIn(longestLease)}`
    : ''
  const failure = cause === undefined ? '' : `; last connect failure: ${messageOf(cause)}`
  // The message begins as that of pg-pool, since users match on it.
  return `timeout exceeded when trying to connect (waited ${Math.round(waitedMillis)} ms: ${counts}${longest}${failure})`
}

/** What a lease is used for, in words, as far as that is known. */
export function useIn({ label, statement, transaction }: Partial<LeaseUse>): string {
  const inTransaction =
    transaction === undefined ? '' : `, in ${transaction === 'failed' ? 'a failed' : 'a'} transaction`
  const running = statement === undefined ? '' : `, running \`${statement}\``
  return `${label === undefined ? '' : `, for ${JSON.stringify(label)}`}${inTransaction}${running}`
}

/** Why a caller was refused. */
export interface OverloadDetails {
  /** The option `maxWaiting`, if that many wait already; undefined if the pool sheds load. */
  readonly maxWaiting?: number | undefined
  /** How long this caller has waited, in milliseconds: 0 unless the pool sheds load. */
  readonly waitedMillis?: number | undefined
  /** See `PoolOverloadedError`. */
  readonly retryAfterMillis?: number | undefined
}

/**
 * This caller is refused, so that the queue stays short: `maxWaiting` callers wait for a connection already, or the pool sheds load
 * (`shedding`), and this one has waited for too long. Nothing was sent to the server.
 */
export class PoolOverloadedError extends HoldfastError {
  /** The option `maxWaiting`: how many wait already. Undefined if the pool sheds load. */
  readonly maxWaiting: number | undefined
  /** How long this caller has waited, in milliseconds. */
  readonly waitedMillis: number
  /** When the pool sheds load: after how many milliseconds another try makes sense, as for the header `Retry-After`. */
  readonly retryAfterMillis: number | undefined

  constructor({ maxWaiting, waitedMillis = 0, retryAfterMillis }: OverloadDetails) {
    const why =
      maxWaiting === undefined
        ? `this caller has waited for ${Math.round(waitedMillis)} ms, and others wait as long (shedding)`
        : `${maxWaiting} callers wait for a connection already`
    super('HOLDFAST_POOL_OVERLOADED', `The pool is overloaded: ${why}`)
    this.maxWaiting = maxWaiting
    this.waitedMillis = waitedMillis
    this.retryAfterMillis = retryAfterMillis
  }

  static {
    pinName(PoolOverloadedError, 'PoolOverloadedError')
  }
}

/**
 * `pool.ping()` got no answer in time: neither to its own statement, nor has the server answered any other one of this pool
 * meanwhile. `cause` is the last failure to connect, if there is one.
 */
export class PingTimeoutError extends HoldfastError {
  /** The option `timeoutMillis`. */
  readonly timeoutMillis: number

  constructor(timeoutMillis: number, cause: unknown) {
    const failure = cause === undefined ? '' : `; last connect failure: ${messageOf(cause)}`
    super(
      'HOLDFAST_PING_TIMEOUT',
      `The server did not answer within ${timeoutMillis} ms${failure}`,
      cause === undefined ? {} : { cause },
    )
    this.timeoutMillis = timeoutMillis
  }

  static {
    pinName(PingTimeoutError, 'PingTimeoutError')
  }
}

/**
 * `pool.listen()` found no server that listens in time (`connectionTimeoutMillis`). `cause` is the last failure to connect, if there
 * is one.
 */
export class ListenTimeoutError extends HoldfastError {
  /** How long it has waited, in milliseconds. */
  readonly timeoutMillis: number

  constructor(timeoutMillis: number, cause: unknown) {
    const failure = cause === undefined ? '' : `; last connect failure: ${messageOf(cause)}`
    super(
      'HOLDFAST_LISTEN_TIMEOUT',
      `No server has listened within ${timeoutMillis} ms${failure}`,
      cause === undefined ? {} : { cause },
    )
    this.timeoutMillis = timeoutMillis
  }

  static {
    pinName(ListenTimeoutError, 'ListenTimeoutError')
  }
}

/** The pool has ended, or is ending. */
export class PoolClosedError extends HoldfastError {
  constructor(message = 'Cannot use a pool after calling end on the pool') {
    super('HOLDFAST_POOL_CLOSED', message)
  }

  static {
    pinName(PoolClosedError, 'PoolClosedError')
  }
}

/**
 * The pool is blocked by its own callers: a transaction was begun inside the function of another one without that one's
 * `tx`, and every connection is held by a transaction that waits like this. Thrown when the deadline has passed
 * (`connectionTimeoutMillis`, `timeoutMillis`; without one, after a minute in which nothing happened). Use `tx` inside the
 * function, or raise `max`. `cause` has the stack of the outer transaction.
 */
export class PoolDeadlockError extends HoldfastError {
  constructor(connections: number, outer: Error | undefined) {
    super(
      'HOLDFAST_POOL_DEADLOCK',
      `This transaction waited in vain for a connection: ${connections === 1 ? 'the only one is' : `all ${connections} are`} held by transactions whose functions have asked for another one. Use the \`tx\` that the function is given (\`tx.savepoint\` nests), or raise \`max\``,
      outer && { cause: outer },
    )
  }

  static {
    pinName(PoolDeadlockError, 'PoolDeadlockError')
  }
}

/**
 * A client was released twice, or used after its release. Release each client once, and keep no reference to it
 * afterwards: its connection may be leased to another caller.
 */
export class ReleaseError extends HoldfastError {
  constructor(message: string) {
    super('HOLDFAST_RELEASED', message)
  }

  static {
    pinName(ReleaseError, 'ReleaseError')
  }
}

/** Options that can't work. Lists all problems at once; each names its option, the value that was given, and what is allowed. */
export class OptionsError extends HoldfastError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(
      'HOLDFAST_INVALID_OPTION',
      problems.length === 1 ? `${problems[0]}` : ['Invalid options:', ...problems].join('\n- '),
    )
    this.problems = problems
  }

  static {
    pinName(OptionsError, 'OptionsError')
  }
}
