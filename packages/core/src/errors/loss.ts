import { codeOf, messageOf } from '../thrown.ts'
import { HoldfastError, pinName } from './holdfast-error.ts'

/** What was under way on a connection when it was lost. */
export type LossPhase = 'idle' | 'query' | 'transaction' | 'commit'

/**
 * What became of the work: with `aborted` it is certain that nothing was written, with `unknown` it may be written. A loss
 * between two transactions is `unknown` if the lease had executed anything before, since that may be written.
 */
export type CommitOutcome = 'aborted' | 'unknown'

/** The facts of a loss: the same for every call on that connection. */
export interface Loss {
  /** The first thing that went wrong, before the errors that follow from it. */
  readonly cause: unknown
  readonly phase: LossPhase
  readonly commitOutcome: CommitOutcome
  /** Set when it is certain that the statement outside of a transaction did not run, and that the reason passes. */
  readonly mayRunAgain?: true
  /** Set when the server could not tell what became of a COMMIT. */
  readonly unknown?: UnknownCommit
}

/** What is known of a transaction whose outcome is unknown. */
export interface UnknownCommit {
  /** Why the server couldn't tell, or couldn't be asked. */
  readonly reason: string
  /** What to look up by hand, as far as it is known: `pg_xact_status` takes the id. */
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
 * The connection was lost, before this statement or while it ran. `commitOutcome` says whether anything may be written,
 * `sent` whether the statement may have reached the server. Every later call on the same client rejects with the same
 * facts, so that an ORM's own ROLLBACK can't hide them. `code` is that of `cause` (a SQLSTATE or an errno), else 08006.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export class ConnectionLostError extends HoldfastError {
  readonly phase: LossPhase
  /** Whether a byte of this statement may have reached the server. */
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

const PHASES: Record<LossPhase, string> = {
  idle: 'while idle',
  query: 'while a statement was running',
  transaction: 'in a transaction, before COMMIT was sent',
  commit: 'after COMMIT was sent',
}

/**
 * A COMMIT was lost, and its outcome can't be found out: the transaction may be written, or not. Don't run it again before
 * you have looked for what it should have written. `reason` says why the outcome is unknown, `cause` why the connection was
 * lost; `commitOutcome` is `'unknown'`.
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

/** The error that tells a caller of a loss. */
export function lossError(loss: Loss, sent: boolean): ConnectionLostError {
  if (loss.unknown) return new CommitOutcomeUnknownError(loss, sent, loss.unknown)
  const error = new ConnectionLostError(loss, sent)
  if (loss.mayRunAgain) NEVER_RAN.add(error)
  return error
}

const NEVER_RAN = new WeakSet<Error>()

/** Whether this error says that the statement certainly never ran, so that any statement may be sent again. */
export function neverRan(error: Error): boolean {
  return NEVER_RAN.has(error)
}
