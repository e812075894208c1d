import type { QueryResult } from 'pg'
import type { CommitSettings } from '../commit/settle.ts'
import type { XidTracker } from '../commit/xid-tracker.ts'
import type { AnswersSoFar } from '../driver/answer-so-far.ts'
import type { KnownPooler } from '../driver/known-pooler.ts'
import type { DriverSession } from '../driver/session.ts'
import { type LeaseUse, type Loss, lossError, type StatementOutcome } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import { messageFacts, outcomeOf } from '../policy/outcome.ts'
import type { LossReach } from '../policy/reach.ts'
import { markTooSlow } from '../policy/slowness.ts'
import { afterPatience, type Cancel, type Clock } from '../runtime/clock.ts'
import { mannerOf, mayCommit, outlineOf } from '../sql/statement.ts'
import type { Lease } from './lease.ts'
import type { Liveness } from './liveness.ts'
import type { ServerRole } from './server-role.ts'
import type { SessionFitness } from './session-fitness.ts'

/** One statement, from the call to its end. */
export interface Statement {
  /** Undefined where only the driver knows it: a cursor, a stream. */
  readonly text: string | undefined
  /** Whether a byte of it could have reached the server. */
  sent: boolean
  /** See `Liveness.epoch`. */
  readonly livenessEpoch: number
  /** Whether it was sent while others were in flight, those of other callers. */
  hasFollowed: boolean
  /** What the driver has in its queue, as long as it hasn't sent it. */
  queued: unknown
  /** Whether its caller no longer waits for it. */
  isGivenUp: boolean
  /** See `SilentStatement`. */
  readonly kind: StatementForm
  /** Whether the server owes an answer. A cursor rests between two portions of rows. */
  isOwed: boolean
  /** What became of it when its connection was lost; undefined where that is what the loss says. */
  end: StatementEnd | undefined
}

/** What became of a statement whose connection was lost, and its result, if the server had completed it for good. */
export interface StatementEnd {
  readonly outcome: StatementOutcome
  readonly result: QueryResult | undefined
}

/** How the answer to a statement comes: at once, in portions that are asked for, or in a way of its own (COPY). */
export type StatementForm = 'statement' | 'cursor' | 'stream'

/** The statements of a connection that have not ended, in the order in which the driver sends them. */
export class InFlight {
  readonly #pipelined: boolean
  readonly #statements: Statement[] = []
  /** A statement that failed, until the server says what became of its transaction (ReadyForQuery). */
  #failed: Statement | undefined

  constructor(pipelined: boolean) {
    this.#pipelined = pipelined
  }

  /** Adds a statement. The driver sends one at a time, unless it pipelines. */
  begin(text: string | undefined, livenessEpoch: number, kind: StatementForm = 'statement'): Statement {
    const statement: Statement = {
      text,
      livenessEpoch,
      queued: undefined,
      sent: this.#pipelined || this.#statements.length === 0,
      hasFollowed: false,
      isGivenUp: false,
      end: undefined,
      kind,
      isOwed: kind !== 'cursor',
    }
    this.#statements.push(statement)
    return statement
  }

  get isEmpty(): boolean {
    return this.#statements.length === 0
  }

  /** The one that the server executes, unless it executes a statement of the pool's own. */
  get first(): Statement | undefined {
    return this.#statements[0]
  }

  /** Whether exactly one was sent, while no other one was in flight. */
  get hasOneSent(): boolean {
    return this.first?.sent === true && !this.first.hasFollowed && !this.#isFirstFollowed
  }

  /** Whether the caller waits for the statement that the server executes, and none was sent behind it. */
  isWanted(): boolean {
    return this.first?.isGivenUp === false && !this.#isFirstFollowed
  }

  get #isFirstFollowed(): boolean {
    return this.#statements[1]?.sent === true
  }

  /** The driver will send the first statement once more. Returns what is to be called when it does. */
  requeued(query: object): () => void {
    const { first } = this
    if (first) first.queued = query
    return () => {
      if (first) first.queued = undefined
    }
  }

  /** Whether the server executes something that it may be told to stop: nothing that may be a COMMIT. */
  get mayBeStopped(): boolean {
    const sent = this.#statements.filter((each) => each.sent)
    return sent.length > 0 && !sent.some(({ text }) => text !== undefined && mayCommit(text))
  }

  /** Whether this one has not ended. */
  has(statement: Statement): boolean {
    return this.#statements.includes(statement)
  }

  /** The server is ready for the next statement: its transaction status takes the failed one into account. */
  forgetFailed(): void {
    this.#failed = undefined
  }

  /** Removes a statement that has ended. If the connection lives, the next one is being sent. */
  end(statement: Statement, how: 'answered' | 'failed', isAlive: boolean): void {
    if (isAlive) this.#failed = how === 'failed' ? statement : undefined
    const index = this.#statements.indexOf(statement)
    if (index !== -1) this.#statements.splice(index, 1)
    const next = this.#statements[0]
    if (next && isAlive && next.queued === undefined) next.sent = true
  }

  /** Those that may have reached the server, and whose effect isn't known. */
  get sent(): Statement[] {
    const open = this.#failed ? [this.#failed, ...this.#statements] : this.#statements
    return open.filter(({ sent }) => sent)
  }

  /** Whether the first of them was answered with an error. */
  get hasFailed(): boolean {
    return this.#failed !== undefined
  }
}

/** How long statements may take. */
interface TimeLimits {
  readonly clock: Clock
  /** The limit of a statement that has none of its own; `Infinity` for none. */
  readonly queryTimeoutMillis: number
  readonly commits: CommitSettings | undefined
}

/**
 * Starts the timeout of a statement; undefined if it has none. `onLate` has to give the connection up, since nothing tells a
 * slow server from a dead one. A COMMIT whose outcome can be resolved has `commitTimeoutMillis` at most.
 */
function startStatementTimeout(
  { clock, queryTimeoutMillis, commits }: TimeLimits,
  timeoutMillis: number | undefined,
  isResolvableCommit: boolean,
  onLate: (late: Error) => void,
): Cancel | undefined {
  const longest = (isResolvableCommit ? commits?.timeoutMillis : undefined) ?? Number.POSITIVE_INFINITY
  const limit = Math.min(timeoutMillis || queryTimeoutMillis, longest)
  if (limit === Number.POSITIVE_INFINITY) return undefined
  const what = limit === longest ? `No answer to COMMIT within ${limit} ms` : 'Query read timeout'
  return afterPatience(clock, limit, 'process', () =>
    onLate(limit === longest ? new Error(what) : markTooSlow(new Error(what))),
  )
}

/** The connection, as its statements see it. */
export interface StatementOwner {
  readonly session: DriverSession
  readonly answers: AnswersSoFar
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
  /** The watch over silent statements; undefined if the pool has none. */
  readonly watch?: { readonly isAwake: boolean; wake(): void } | undefined
  readonly pooler: KnownPooler
  /** Whether each write of a caller runs in a transaction of its own (`transactionalWrites`). */
  readonly enclosesWrites: boolean
}

const TRANSACTIONS = { I: undefined, T: 'open', E: 'failed' } as const

/** The statements of a connection, from the call to the end: how long they may take, and what their end says of the session. */
export class Statements {
  readonly inFlight: InFlight
  readonly enclosesWrites: boolean
  readonly #owner: StatementOwner
  readonly #settings: StatementSettings
  #firstFailure: Error | undefined

  constructor(owner: StatementOwner, settings: StatementSettings) {
    this.inFlight = new InFlight(settings.pipelined)
    this.#owner = owner
    this.enclosesWrites = settings.enclosesWrites
    this.#settings = settings
  }

  /** The first error since the server last accepted a statement: the reason for all errors after it. */
  get firstFailure(): Error | undefined {
    return this.#firstFailure
  }

  /** What the lease is used for, as people are told. */
  get use(): LeaseUse {
    const { lease, session } = this.#owner
    const text = this.inFlight.first?.text
    return {
      label: lease.options?.label,
      statement: text === undefined ? undefined : outlineOf(text),
      transaction: TRANSACTIONS[session.transactionStatus ?? 'I'],
    }
  }

  /** A statement is about to be given to the driver. */
  begin(text: string | undefined, kind?: StatementForm): Statement {
    const { session, liveness } = this.#owner
    const { watch, pooler } = this.#settings
    if (watch && !watch.isAwake) watch.wake()
    if (pooler.isPerTransaction && text !== undefined) pooler.sends(text)
    if (session.isReady) this.inFlight.forgetFailed()
    return this.inFlight.begin(text, liveness.epoch, kind)
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
    return loss ? lossError(loss, statement.sent, statement.end?.outcome) : error
  }

  /** The result of a statement that the server has completed for good, although it ended with this error. */
  resultDespite(error: Error, statement: Statement): QueryResult | undefined {
    const { loss, answers, session } = this.#owner
    if (loss) return statement.end?.result
    const answer = answers.before(error)
    if (!answer?.isComplete) return undefined
    const manner = mannerOf(statement.text, answer.protocol === 'extended')
    // What was complete in an open transaction is rolled back with it, unless it was the COMMIT.
    if (session.transactionStatus !== 'I' && manner !== 'as COMMIT') return undefined
    return outcomeOf({ ...messageFacts(error), ...answer, manner }) === 'committed' ? answer.result : undefined
  }

  /** The server owes one portion of a cursor's rows. Returns what is to be called when it has come. */
  startPortion(statement: Statement, timeoutMillis: number | undefined): Cancel {
    statement.isOwed = true
    const { watch } = this.#settings
    if (watch && !watch.isAwake) watch.wake()
    const cancel = this.startTimeout(timeoutMillis)
    return () => {
      statement.isOwed = false
      cancel?.()
    }
  }

  /**
   * Gives a statement `timeoutMillis`, or the pool's `query_timeout`, to end; a COMMIT `commitTimeoutMillis`, too. `giveUp` may
   * tell its caller without ending the connection: it returns whether it has.
   */
  startTimeout(
    timeoutMillis: number | undefined,
    isCommit = false,
    giveUp?: (late: Error) => boolean,
  ): Cancel | undefined {
    const isResolvable = isCommit && this.#owner.xidTracker?.isPossible === true
    return startStatementTimeout(this.#settings, timeoutMillis, isResolvable, (late) => {
      if (!giveUp?.(late)) this.#owner.markLost(late, 'suspect', true)
    })
  }
}
