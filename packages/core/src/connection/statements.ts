import type { CommitSettings } from '../commit/settle.ts'
import type { XidTracker } from '../commit/xid-tracker.ts'
import type { DriverSession } from '../driver/session.ts'
import { type Loss, lossError } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { LossReach } from '../policy/loss.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { InFlight, type Statement } from './in-flight.ts'
import type { Lease } from './lease.ts'
import type { Liveness } from './liveness.ts'
import type { ServerRole } from './server-role.ts'
import type { SessionFitness } from './session-fitness.ts'
import { startStatementTimeout } from './statement-timeout.ts'

/** The connection, as its statements see it. */
export interface StatementOwner {
  readonly session: DriverSession
  readonly lease: Lease
  readonly liveness: Liveness
  readonly serverRole: ServerRole
  readonly fitness: SessionFitness
  readonly xidTracker: XidTracker | undefined
  readonly loss: Loss | undefined
  /** Marks the connection lost. `mayLive`: its server may still execute the statement, and is told to stop. */
  markLost(cause: unknown, reach?: LossReach, mayLive?: boolean): void
}

/** The settings of a connection that concern its statements. */
export interface StatementSettings {
  readonly clock: Clock
  readonly pipelined: boolean
  readonly queryTimeoutMillis: number
  readonly commits: CommitSettings | undefined
}

/** The statements of a connection, from the call to the end: how long they may take, and what their end says of the session. */
export class Statements {
  readonly inFlight: InFlight
  readonly #owner: StatementOwner
  readonly #settings: StatementSettings
  #firstFailure: Error | undefined

  constructor(owner: StatementOwner, settings: StatementSettings) {
    this.inFlight = new InFlight(settings.pipelined)
    this.#owner = owner
    this.#settings = settings
  }

  /** The first error since the server last accepted a statement: the reason for all errors after it. */
  get firstFailure(): Error | undefined {
    return this.#firstFailure
  }

  /** A statement is about to be given to the driver. */
  begin(text: string | undefined): Statement {
    const { session, liveness } = this.#owner
    if (session.isReady) this.inFlight.forgetFailed()
    return this.inFlight.begin(text, liveness.epoch)
  }

  /** The statement was answered, or failed with this error. */
  end(statement: Statement, error?: Error): void {
    const { loss, lease, liveness, serverRole, fitness } = this.#owner
    this.inFlight.end(statement, error ? 'failed' : 'answered', loss === undefined)
    if (!error) this.#firstFailure = undefined
    else {
      if (severityOf(error) !== undefined) this.#firstFailure ??= error
      fitness.judge(error, serverRole.isStandby)
    }
    lease.hasWorked = true
    // An error of the driver's own says nothing of the server.
    const hasAnswered = loss === undefined && (!error || severityOf(error) !== undefined)
    if (hasAnswered) liveness.answered(this.#settings.clock.now(), statement.livenessEpoch)
  }

  /** What the caller of a statement is told, if it ended with this error. */
  errorFor(error: Error, statement: Statement): Error {
    const { loss } = this.#owner
    return loss ? lossError(loss, statement.sent) : error
  }

  /** Gives a statement `timeoutMillis`, or the pool's `query_timeout`, to end; a COMMIT `commitTimeoutMillis`, too. */
  startTimeout(timeoutMillis: number | undefined, isCommit = false): Cancel | undefined {
    const isResolvable = isCommit && this.#owner.xidTracker?.isPossible === true
    return startStatementTimeout(this.#settings, timeoutMillis, isResolvable, (late) =>
      this.#owner.markLost(late, 'suspect', true),
    )
  }
}
