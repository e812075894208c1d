import { codeOf, isInstance, messageOf } from './thrown.ts'

export { codeOf, messageOf }

/** The base of every error that Holdfast creates. Branch on `code`: it is stable, and survives two copies of the package. */
export class HoldfastError extends Error {
  /** A SQLSTATE where PostgreSQL has one, else a name starting with `HOLDFAST_`. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  // On the prototype, so that `name` is not enumerable, and written out, so that minifiers can't change it.
  static {
    pinName(HoldfastError, 'HoldfastError')
  }
}

/** What kept a caller of `connect()` waiting until its deadline. All counts are those of that moment. */
export interface PoolTimeoutDetails {
  /** How long the caller has waited, in milliseconds. */
  readonly waitedMillis: number
  /** The option `max`. */
  readonly max: number
  readonly leased: number
  readonly idle: number
  readonly opening: number
  /** Being pinged before they are leased. */
  readonly checking: number
  /** Being reset after they came back. */
  readonly resetting: number
  /** Other callers still in line. */
  readonly waiting: number
  /** For how long the longest lease has been held, in milliseconds, and by which server process. */
  readonly longestLease: { readonly heldMillis: number; readonly backendPid: number | null } | undefined
}

/**
 * `connectionTimeoutMillis` passed before a connection could be leased. If the server was to blame, `cause` is the
 * last connect failure; without a `cause` the pool was simply exhausted.
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
    ? `; held longest: ${Math.round(longestLease.heldMillis)} ms by backend ${longestLease.backendPid ?? 'unknown'}`
    : ''
  const blame = cause === undefined ? '' : `; last connect failure: ${messageOf(cause)}`
  // The beginning is node-postgres' own, since users match on it.
  return `timeout exceeded when trying to connect (waited ${Math.round(waitedMillis)} ms: ${counts}${longest}${blame})`
}

/** More callers than `maxWaiting` would have waited: this one is refused at once, so that the line stays short. */
export class PoolOverloadedError extends HoldfastError {
  /** The option `maxWaiting`: how many wait already. */
  readonly maxWaiting: number

  constructor(maxWaiting: number) {
    super('HOLDFAST_POOL_OVERLOADED', `The pool is overloaded: ${maxWaiting} callers wait for a connection already`)
    this.maxWaiting = maxWaiting
  }

  static {
    pinName(PoolOverloadedError, 'PoolOverloadedError')
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

/** Where a connection was opened, or was tried to be. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly database: string | undefined
  /** What to look at, where nothing has said where the server is. */
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
    const { host, port, database, hint } = endpoint
    const where = `${host}:${port}${database === undefined ? '' : `, database ${database}`}${hint ? `; ${hint}` : ''}`
    super(codeOf(cause) ?? '08001', `${messageOf(cause)} (connecting to ${where})`, {
      cause,
    })
    this.endpoint = endpoint
  }

  static {
    pinName(ConnectError, 'ConnectError')
  }
}

/** Each caller who is told of the same failure to connect gets an error of its own, with its own stack. */
export function copyOf(error: Error): Error {
  return isInstance(error, ConnectError) ? new ConnectError(error.endpoint, error.cause) : error
}

/** Why an attempt to connect was, or would be, given up: with the errno of any other that took too long. */
export function noAnswer(millis: number): Error {
  return Object.assign(new Error(`no answer within ${Math.round(millis)} ms`), { code: 'ETIMEDOUT' })
}

/** What was under way on a connection when it was lost. */
export type LossPhase = 'idle' | 'query' | 'transaction' | 'commit'

/**
 * What became of the work: `aborted` is certain, nothing of it was written; `unknown` is what it says. Between two
 * transactions it is `unknown` if the lease has done anything before, for that may be written.
 */
export type CommitOutcome = 'aborted' | 'unknown'

/** The facts of a loss: the same for every call on that connection. */
export interface Loss {
  /** The first thing that went wrong, before the errors that follow from it. */
  readonly cause: unknown
  readonly phase: LossPhase
  readonly commitOutcome: CommitOutcome
  /** Set when it is certain that nothing ran of what was under way outside of a transaction, and that the reason passes. */
  readonly mayRunAgain?: true
  /** Set when the outcome of a COMMIT was asked for in vain. */
  readonly unknown?: UnknownCommit
}

/** What is known of a transaction whose outcome isn't. */
export interface UnknownCommit {
  /** Why the server couldn't tell, or couldn't be asked. */
  readonly reason: string
  /** What to look for by hand, as far as it is known: `pg_xact_status` takes the id. */
  readonly transaction: TransactionFacts | undefined
}

/** Where a transaction ran, and under which id. */
export interface TransactionFacts {
  /** 64 bits, as text, as `pg_current_xact_id()` has it. */
  readonly transactionId: string
  readonly backendPid: number
  /** Of the data directory, as `pg_control_system()` has it. */
  readonly systemIdentifier: string
  /** Eight hexadecimal digits, as the names of WAL files begin. */
  readonly timeline: string
}

/**
 * The connection died: while this statement ran, or before. Every later call on that client rejects with the same
 * facts, so that an ORM's own ROLLBACK can't hide them. `code` is that of `cause` (a SQLSTATE or an errno), else
 * 08006.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export class ConnectionLostError extends HoldfastError {
  readonly phase: LossPhase
  /** Whether a byte of this statement could have reached the server. */
  readonly sent: boolean
  readonly commitOutcome: CommitOutcome

  constructor(loss: Loss, sent: boolean) {
    super(codeOf(loss.cause) ?? '08006', `Connection lost (${PHASES[loss.phase]}): ${messageOf(loss.cause)}`, {
      cause: loss.cause,
    })
    this.phase = loss.phase
    this.sent = sent
    this.commitOutcome = loss.commitOutcome
  }

  static {
    pinName(ConnectionLostError, 'ConnectionLostError')
  }
}

/**
 * A COMMIT was lost, and what became of it can't be known: the work may be written, or not. Never run it again
 * unseen; look it up by what it should have written. `commitOutcome` is `'unknown'`, `cause` what the connection died of.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html 08007, transaction_resolution_unknown
 */
export class CommitOutcomeUnknownError extends ConnectionLostError {
  override readonly code = '08007'
  /** Why the server couldn't tell, or couldn't be asked. */
  readonly reason: string
  /** The transaction, as far as it is known. */
  readonly transaction: TransactionFacts | undefined

  constructor(loss: Loss, sent: boolean, { reason, transaction }: UnknownCommit) {
    super(loss, sent)
    this.reason = reason
    this.transaction = transaction
    const which = transaction ? ` (transaction ${transaction.transactionId})` : ''
    this.message = `The outcome of COMMIT is unknown${which}: ${reason}; ${messageOf(loss.cause)}`
  }

  static {
    pinName(CommitOutcomeUnknownError, 'CommitOutcomeUnknownError')
  }
}

/** What to tell of a loss. */
export function lossError(loss: Loss, sent: boolean): ConnectionLostError {
  if (loss.unknown) return new CommitOutcomeUnknownError(loss, sent, loss.unknown)
  const error = new ConnectionLostError(loss, sent)
  if (loss.mayRunAgain) NEVER_RAN.add(error)
  return error
}

const NEVER_RAN = new WeakSet<Error>()

/** Whether this error tells that the statement certainly never ran, so that it may be sent again, whatever it is. */
export function neverRan(error: Error): boolean {
  return NEVER_RAN.has(error)
}

const PHASES: Record<LossPhase, string> = {
  idle: 'while idle',
  query: 'while a statement was running',
  transaction: 'in a transaction, before COMMIT was sent',
  commit: 'after COMMIT was sent',
}

/**
 * `timeoutMillis` passed before a transaction was committed, all attempts together: its statement was cancelled, and it
 * was rolled back. `cause` is what the last attempt failed of, if one did.
 */
export class TransactionTimeoutError extends HoldfastError {
  /** The option `timeoutMillis`. */
  readonly timeoutMillis: number

  constructor(timeoutMillis: number) {
    super(
      'HOLDFAST_TRANSACTION_TIMEOUT',
      `The transaction was not committed within ${timeoutMillis} ms, and was rolled back`,
    )
    this.timeoutMillis = timeoutMillis
  }

  static {
    pinName(TransactionTimeoutError, 'TransactionTimeoutError')
  }
}

/**
 * A transaction was asked for in the function of another, without its `tx`, and waited in vain until its deadline
 * (`connectionTimeoutMillis`, `timeoutMillis`; without one, until nothing had happened for a minute): every connection is
 * held by a transaction whose function still runs, does nothing at the server, and has asked for another connection.
 * `cause` has the stack of the outer one.
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
 * COMMIT was answered with ROLLBACK: a statement of the transaction had failed, its error was swallowed, and nothing was
 * written. PostgreSQL reports no error for it, only the other command tag.
 *
 * @see https://www.postgresql.org/docs/current/sql-commit.html
 */
export class TransactionRolledBackError extends HoldfastError {
  /** `cause` is the error that was swallowed, as far as it is known. */
  constructor(cause?: unknown) {
    super(
      '40000',
      'COMMIT was answered with ROLLBACK: an earlier statement had failed, and nothing was written',
      cause === undefined ? {} : { cause },
    )
  }

  static {
    pinName(TransactionRolledBackError, 'TransactionRolledBackError')
    // By this Kysely knows, of an error of its own, that nothing is left to roll back; else it keeps the connection.
    Object.defineProperty(TransactionRolledBackError.prototype, Symbol.for('kysely.AbortedTransactionError'), {
      value: true,
    })
  }
}

/** Options that can't work. Tells all problems at once; each names its option, what was given and what is allowed. */
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

/**
 * A client was released twice, or used after its release and before its next lease: afterwards its old holder can't be
 * told from the new one, for it is the physical connection. Also: a transaction or savepoint was used after its end, or
 * ended with a savepoint, cursor or stream of its own still open.
 */
export class ReleaseError extends HoldfastError {
  constructor(message: string) {
    super('HOLDFAST_RELEASED', message)
  }

  static {
    pinName(ReleaseError, 'ReleaseError')
  }
}

function pinName(errorClass: { prototype: Error; name: string }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
  Object.defineProperty(errorClass, 'name', { value: name })
}
