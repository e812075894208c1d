import type { QueryResult } from 'pg'
import type { LeasedClient } from '../connection/physical-client.ts'
import { isSubmittable } from '../connection/query-arguments.ts'
import { addReason } from '../errors.ts'
import { TRANSACTION_RETRY } from '../options/option-table.ts'
import { type CertainReason, judgeRerun } from '../policy/rerun.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Publisher, StatementRetryReason } from '../telemetry/events.ts'

/** A statement, as it was given to `query`. */
export interface Call {
  readonly query: unknown
  readonly values: unknown[] | undefined
}

/** How a statement is to be run again. */
export interface Rerun {
  readonly reason: CertainReason
  /** Why the last run failed, and when. */
  readonly error: Error
  readonly at: number
}

/** A run of a statement that follows a failed one. */
export interface StatementRetry {
  readonly reason: StatementRetryReason
  /** The number of the run that begins: 2 is the first retry. */
  readonly attempt: number
  readonly error: unknown
  /** When the run before failed; undefined for just now. */
  readonly at?: number
}

/** Publishes that a statement runs again: the only place that does. */
export function publishRetry(publisher: Publisher, { at, ...retry }: StatementRetry): void {
  const pausedMillis = at === undefined ? 0 : systemClock.now() - at
  publisher.publish({ type: 'statement-retried', ...retry, pausedMillis })
}

/** Errors of statements that have been run again as often as they may be. */
const RUN_OUT = new WeakSet<Error>()

/** Whether the statement that ended with this error was run again as often as it may be. */
export function hasRunOut(error: Error): boolean {
  return RUN_OUT.has(error)
}

/** The reruns of one statement that was lost: the only place that decides whether there is another one, and in which form. */
export class Reruns {
  readonly #call: Call
  readonly #publisher: Publisher
  #attempts = 1
  #counted = 0
  #next: Rerun | undefined

  constructor(call: Call, publisher: Publisher) {
    this.#call = call
    this.#publisher = publisher
  }

  /**
   * Decides what follows from the error of the last run; undefined if its caller has to be told. The error then says why,
   * if the statement did nothing. A cursor or a stream has been used by then, so it is never run again.
   */
  afterError(error: Error): Rerun | undefined {
    this.#next = undefined
    if (isSubmittable(this.#call.query)) return undefined
    const verdict = judgeRerun(error)
    if (!verdict) return undefined
    if ('whyNot' in verdict) return this.refuse(error, verdict.whyNot)
    if (!verdict.isRefusal && ++this.#counted > TRANSACTION_RETRY.retries) {
      RUN_OUT.add(error)
      return this.refuse(error, `it has run ${this.#attempts} times`)
    }
    this.#next = { reason: verdict.reason, error, at: systemClock.now() }
    return this.#next
  }

  /** There is no other run, for this reason. */
  refuse(error: Error, whyNot: string): undefined {
    this.#next = undefined
    addReason(error, whyNot)
  }

  /** Runs the statement on this client: again, if a run has failed. */
  run(client: LeasedClient, done: (error: Error | null, result: QueryResult) => void): void {
    const { query, values } = this.#call
    if (this.#next) this.#publish(this.#next)
    client.query(query as string, values as unknown[], done)
  }

  #publish({ reason, error, at }: Rerun): void {
    publishRetry(this.#publisher, { reason, attempt: ++this.#attempts, error, at })
  }
}
