import { codeOf, messageOf } from '../thrown.ts'
import { HoldfastError, pinName } from './holdfast-error.ts'

/** What was under way on a connection when it was lost. */
export type LossPhase = 'idle' | 'query' | 'transaction' | 'commit'

/**
 * What became of the work: with `aborted` it is certain that nothing was written, with `unknown` it may be written. A loss
 * between two transactions is `unknown` if the lease had executed anything before, since that may be written.
 */
export type CommitOutcome = 'aborted' | 'unknown'

/**
 * What became of a statement:
 *
 * - `never-ran`: it wasn't sent, or never arrived, or the server never began it;
 * - `rolled-back`: the server began it, or may have, and certainly wrote nothing;
 * - `committed`: it certainly took effect, and its result is lost;
 * - `unknown`: nothing proves the one or the other. A write may be written.
 */
export type StatementOutcome = 'never-ran' | 'rolled-back' | 'committed' | 'unknown'

/** The facts of a loss: the same for every call on that connection. */
export interface Loss {
  /** The first thing that went wrong, before the errors that follow from it. */
  readonly cause: unknown
  readonly phase: LossPhase
  readonly commitOutcome: CommitOutcome
  /** What became of the statements that were under way: of those together, what is known of the least certain. */
  readonly statementOutcome?: StatementOutcome
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
 * The connection was lost, before this statement or while it ran. `statementOutcome` says what became of this statement,
 * `commitOutcome` whether anything may be written of all that the client has done outside of transactions that have ended,
 * `sent` whether the statement may have reached the server. Every later call on the same client rejects with the same
 * facts, so that an ORM's own ROLLBACK can't hide them. `code` is that of `cause` (a SQLSTATE or an errno), else 08006.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export class ConnectionLostError extends HoldfastError {
  readonly phase: LossPhase
  /** Whether a byte of this statement may have reached the server. */
  readonly sent: boolean
  /** What became of this statement. */
  readonly statementOutcome: StatementOutcome
  readonly commitOutcome: CommitOutcome

  constructor(loss: Loss, sent: boolean, outcome: StatementOutcome = outcomeOfStatement(loss, sent)) {
    super(codeOf(loss.cause) ?? '08006', `Connection lost (${whenLost(loss, outcome)}): ${messageOf(loss.cause)}`, {
      cause: loss.cause,
    })
    this.phase = loss.phase
    this.sent = sent
    this.statementOutcome = outcome
    this.commitOutcome = loss.commitOutcome
  }

  static {
    pinName(ConnectionLostError, 'ConnectionLostError')
  }
}

function outcomeOfStatement({ phase, statementOutcome }: Loss, sent: boolean): StatementOutcome {
  if (!sent) return 'never-ran'
  return statementOutcome ?? (phase === 'transaction' ? 'rolled-back' : 'unknown')
}

function whenLost({ phase, commitOutcome }: Loss, outcome: StatementOutcome): string {
  if (phase === 'query') return DURING_STATEMENT[outcome]
  return phase === 'commit' && commitOutcome === 'aborted'
    ? 'after COMMIT was sent, which was not executed'
    : PHASES[phase]
}

const PHASES: Record<Exclude<LossPhase, 'query'>, string> = {
  idle: 'while idle',
  transaction: 'in a transaction, before COMMIT was sent',
  commit: 'after COMMIT was sent',
}

const DURING_STATEMENT: Record<StatementOutcome, string> = {
  'never-ran': 'before the statement was executed',
  'rolled-back': 'while a statement was running, which was rolled back',
  committed: 'while a statement was running, which is written',
  unknown: 'while a statement was running, which may be written',
}

/** Adds to the message of a loss why its statement isn't run again. */
export function addReason(error: Error, whyNotAgain: string): void {
  error.message += `; not run again: ${whyNotAgain}`
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

/** The error that tells a caller of a loss; `outcome` is that of its statement, if it differs from that of the others. */
export function lossError(loss: Loss, sent: boolean, outcome?: StatementOutcome): ConnectionLostError {
  if (loss.unknown) return new CommitOutcomeUnknownError(loss, sent, loss.unknown)
  return new ConnectionLostError(loss, sent, outcome)
}
