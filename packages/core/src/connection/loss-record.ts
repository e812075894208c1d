import { type CommitSettings, fenceLost, type ResolvedCommit, settleCommit } from '../commit/settle.ts'
import type { XidTracker } from '../commit/xid-tracker.ts'
import type { AnswerSoFar, AnswersSoFar } from '../driver/answer-so-far.ts'
import type { KnownPooler } from '../driver/known-pooler.ts'
import type { DriverSession } from '../driver/session.ts'
import type { Loss, StatementOutcome } from '../errors.ts'
import type { Candidate } from '../options/hosts.ts'
import { severityOf } from '../policy/classify-error.ts'
import { judgeLoss } from '../policy/loss.ts'
import { leastCertain, outcomesOf } from '../policy/outcome.ts'
import { type LossReach, reachOf } from '../policy/reach.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Lease } from './lease.ts'
import type { Liveness } from './liveness.ts'
import type { ServerRole } from './server-role.ts'
import type { Statement, StatementEnd, Statements } from './statements.ts'

/** The connection, as the record of its loss sees it. */
export interface LossOwner {
  readonly session: DriverSession
  readonly answers: AnswersSoFar
  readonly lease: Lease
  readonly statements: Statements
  readonly serverRole: ServerRole
  readonly xidTracker: XidTracker | undefined
  readonly candidate: Candidate | undefined
}

/** The settings of a connection that concern its loss. */
export interface LossSettings {
  readonly clock: Clock
  readonly commits: CommitSettings | undefined
  readonly pooler: KnownPooler
}

/** The loss of a connection: what it means for the statements and the transaction that were under way. */
export class LossRecord {
  /** Undefined as long as the connection isn't lost. */
  loss: Loss | undefined = undefined
  readonly #owner: LossOwner
  readonly #settings: LossSettings

  constructor(owner: LossOwner, settings: LossSettings) {
    this.#owner = owner
    this.#settings = settings
  }

  /**
   * Records that the connection is lost by this cause. `mayHaveStatements`: some of a lease, a hook or a reset may be under
   * way.
   */
  record(cause: unknown, mayHaveStatements: boolean): Loss {
    const { answers, lease, session, serverRole, statements } = this.#owner
    const { inFlight } = statements
    orDefault(() => this.#settings.pooler.ended(cause), undefined)
    const status = session.transactionStatus
    // A statement that failed in a transaction which had failed before has done nothing.
    if (session.isReady || status === 'E') inFlight.forgetFailed()
    const { sent } = inFlight
    const underWay = sent.map(({ text }) => text)
    const use = mayHaveStatements ? { status, underWay, hasWorked: lease.hasWorked } : undefined
    const isPrimaryLost = serverRole.isPrimaryLost(cause)
    if (isPrimaryLost) serverRole.missPrimary()
    const executing = answers.current
    // A write that was refused did nothing, though its caller has not been told so far.
    const hasFailed = inFlight.hasFailed || serverRole.hasRefused(cause)
    const outcomes = orDefault(() => {
      const said = severityOf(cause) === undefined ? (executing?.notice ?? cause) : cause
      return outcomesOf(said, { sent: underWay, hasFailed, executing })
    }, [])
    this.loss = orDefault<Loss>(() => judgeLoss(use && { ...use, outcomes }, cause, isPrimaryLost), {
      cause,
      phase: 'commit', // What can't be judged may have been a COMMIT.
      commitOutcome: 'unknown',
    })
    // Otherwise the transaction around them, or a pooler's refusal, says more than what they are.
    if (this.loss.statementOutcome === leastCertain(outcomes))
      for (const [index, statement] of sent.entries())
        statement.end = endOf(outcomes[index], index === 0 ? executing : undefined)
    lease.attempt?.noteLoss(lease, this.loss.commitOutcome === 'unknown')
    return this.loss
  }

  /** Has the server end the open transaction, if it may not know that its client is gone. */
  fence(loss: Loss): void {
    fenceLost(loss, this.#owner.xidTracker, this.#settings.commits, this.#owner.candidate?.host)
  }

  /** Finds out whether a lost COMMIT was executed; undefined if it wasn't lost, or the pool doesn't resolve lost COMMITs. */
  resolveCommit(connection: ResolvedCommit['connection'], commit: Statement): Promise<boolean> | undefined {
    const { commits, clock } = this.#settings
    const { xidTracker, lease } = this.#owner
    if (!commits || !xidTracker || this.loss?.phase !== 'commit') return undefined
    if (this.loss.commitOutcome !== 'unknown') return undefined
    // If this one wasn't sent, a statement that was sent before it may have committed.
    if (!commit.sent) return undefined
    return settleCommit(connection, this.loss, xidTracker.known, commits, clock).then(({ isCommitted, loss }) => {
      this.loss = loss
      if (loss.commitOutcome === 'aborted') commit.end = undefined
      lease.attempt?.noteLoss(lease, loss.commitOutcome === 'unknown')
      if (isCommitted) lease.attempt?.noteCommit(lease)
      else if (loss.commitOutcome === 'aborted') commit.end = { outcome: 'rolled-back', result: undefined }
      return isCommitted
    })
  }
}

function endOf(outcome: StatementOutcome | undefined, answer: AnswerSoFar | undefined): StatementEnd | undefined {
  if (!outcome) return undefined
  return { outcome, result: outcome === 'committed' && answer?.isComplete ? answer.result : undefined }
}

/**
 * The answer of a check, or the careful answer if it throws. Checks run in events of the socket, where an exception would
 * end the process, and a loss must be recorded in every case.
 */
export function orDefault<Answer>(check: () => Answer, careful: Answer): Answer {
  try {
    return check()
  } catch {
    return careful
  }
}

/** Which other connections a loss concerns. If that can't be judged, all of them. */
export function reachOrAll(cause: unknown, { isDeclaredDead }: Pick<Liveness, 'isDeclaredDead'>): LossReach {
  return isDeclaredDead ? 'suspect' : orDefault(() => reachOf(cause), 'all')
}
