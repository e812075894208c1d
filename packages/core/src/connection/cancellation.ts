import type { Client } from 'pg'
import type { AnswersSoFar } from '../driver/answer-so-far.ts'
import { isReachable, requestCancel, type SocketSource } from '../driver/cancel-request.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import type { LossReach } from '../policy/reach.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { codeOf } from '../thrown.ts'
import type { Lease } from './lease.ts'
import type { Liveness } from './liveness.ts'
import type { Statement, Statements } from './statements.ts'

/** The connection, as the cancellation of its statements sees it. */
export interface CancellationOwner {
  readonly client: Client
  readonly pipeline: Pipeline
  readonly statements: Statements
  readonly answers: AnswersSoFar
  readonly lease: Lease
  readonly liveness: Liveness
  markLost(cause: unknown, reach: LossReach): void
}

/** The settings of a connection that concern cancellation. */
export interface CancellationSettings {
  readonly clock: Clock
  readonly stream: SocketSource
  readonly pipelined: boolean
}

const CANCELLED = '57014' // query_canceled

/** Cancels statements whose callers have given up, or which are in the way of others: has the server stop them. */
export class Cancellation {
  /** Called when a cancel request is over. */
  onOver: (() => void) | undefined = undefined
  readonly #owner: CancellationOwner
  readonly #settings: CancellationSettings
  #underWay = 0
  /** The lease in which a statement was cancelled for those behind it. */
  #madeWayIn: number | undefined

  constructor(owner: CancellationOwner, settings: CancellationSettings) {
    this.#owner = owner
    this.#settings = settings
  }

  /** Whether a request may still cancel what is sent now. */
  get isUnderWay(): boolean {
    return this.#underWay > 0
  }

  /** A caller has given up its statement. */
  cancel(statement: Statement, reason: Error): void {
    const { statements, pipeline } = this.#owner
    statement.isGivenUp = true
    if (pipeline.takeBack(statement.queued)) statements.end(statement, reason)
    // In a pipeline the server may be executing a statement of another caller.
    else if (statement.sent && statements.inFlight.has(statement) && !this.#settings.pipelined)
      inNoContext(() => void this.#request(statement))
  }

  /** Has the server cancel the statement in front, for those behind it. It may run again: see `hasMadeWay`. */
  makeWay(): void {
    const { statements, lease } = this.#owner
    const { first } = statements.inFlight
    if (!first?.sent || this.isUnderWay || !isReachable(this.#settings.stream)) return
    this.#madeWayIn = lease.number
    inNoContext(() => void this.#request(first, () => {}))
  }

  /** Whether a statement has failed with this error because it made way for others. Then nothing of it is written. */
  hasMadeWay(error: Error): boolean {
    const { answers, lease } = this.#owner
    if (this.#madeWayIn !== lease.number || codeOf(error) !== CANCELLED) return false
    return answers.before(error)?.isComplete === false
  }

  /**
   * Has the server cancel a statement. A late request cancels whatever runs then. So nothing else is sent until the request is
   * over, and the connection must answer a ping before its next lease, unless pings are turned off.
   */
  async #request(statement: Statement, lose = this.#lose): Promise<void> {
    const { client, pipeline, statements, liveness } = this.#owner
    const { clock, stream } = this.#settings
    if (!isReachable(stream)) return lose('Given up: a `stream` object leaves no way to cancel')
    const cancelPatience = afterPatience(clock, INTERNAL_QUERY_TIMEOUT_MILLIS, 'nothing', () => {
      if (statements.inFlight.has(statement)) lose('No answer to a cancel request')
    })
    this.#underWay++
    const resume = pipeline.hold()
    liveness.markSuspect()
    await requestCancel(client, { clock, stream, timeoutMillis: INTERNAL_QUERY_TIMEOUT_MILLIS })
    this.#underWay--
    resume()
    this.onOver?.()
    if (!statements.inFlight.has(statement)) cancelPatience()
  }

  readonly #lose = (message: string): void => this.#owner.markLost(new Error(message), 'suspect')
}
