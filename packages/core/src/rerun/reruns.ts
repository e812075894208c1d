import type { LeasedClient } from '../connection/physical-client.ts'
import { isSubmittable } from '../connection/query-arguments.ts'
import { addReason } from '../errors.ts'
import { TRANSACTION_RETRY } from '../options/option-table.ts'
import { isConnectionLost } from '../policy/classify-error.ts'
import { type CertainReason, judgeRerun, type RerunVerdict } from '../policy/retry.ts'
import { wasTooSlow } from '../policy/slowness.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Publisher, StatementRetryReason } from '../telemetry/events.ts'
import { messageOf } from '../thrown.ts'
import { type Call, type ReadsAgain, STALLED, secondLoss, type Told } from './read-again.ts'

/** Why a statement that shared a connection runs again, alone, whatever its error is. */
export type AloneReason = 'stale-session' | 'gave-way' | 'never-ran'

/** How a statement is to be run again: as it is, or, if it is a plain read that may have run, in a transaction that only reads. */
export interface Rerun {
  readonly reason: CertainReason | AloneReason | 'plain-read' | 'stalled'
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

/** What the reruns of a pool have in common. */
export interface RerunSource {
  readonly publisher: Publisher
  readonly reads: ReadsAgain
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
  readonly #source: RerunSource
  #attempts = 1
  #counted = 0
  #next: Rerun | undefined
  /** What the last run of a plain read was lost of. Its caller is told with what is known of the first run. */
  #lossOfRead: Error | undefined

  constructor(call: Call, source: RerunSource) {
    this.#call = call
    this.#source = source
  }

  /**
   * Decides what follows from the error of the last run; undefined if its caller has to be told. The error then says why,
   * if the statement did nothing. A cursor or a stream has been used by then, so it is never run again.
   */
  afterError(error: Error): Rerun | undefined {
    const { isPlainRead } = this
    const isStalled = this.#next?.reason === 'stalled'
    const lossOfRead = this.#lossOfRead
    this.#next = undefined
    this.#lossOfRead = undefined
    if (isSubmittable(this.#call.query) || isStalled) return undefined
    if (isPlainRead) return lossOfRead && this.#repeat('plain-read', error, judgeRerun(lossOfRead))
    const verdict = judgeRerun(error)
    if (verdict)
      return 'whyNot' in verdict ? this.refuse(error, verdict.whyNot) : this.#repeat(verdict.reason, error, verdict)
    return this.#source.reads.mayRun(this.#call, error) ? this.#repeat('plain-read', error, undefined) : undefined
  }

  /** It is a plain read, which may run or have run behind others: it runs in a transaction that only reads. */
  readElsewhere(error: Error): void {
    this.#next = { reason: error === STALLED ? 'stalled' : 'plain-read', error, at: systemClock.now() }
  }

  /** It has written nothing, and failed because others were in flight with it, or may have. Now it runs alone. */
  runAlone(reason: AloneReason, error: Error): void {
    this.#next = { reason, error, at: systemClock.now() }
  }

  /** Whether the run that comes now, or has ended, is that of a plain read that may have run. */
  get isPlainRead(): boolean {
    return this.#next?.reason === 'plain-read'
  }

  /**
   * What its caller is told if there is no connection for the next run: of a read that may have run, the loss, since what looks
   * like a read may have written. Anything else did nothing.
   */
  errorWithout(reason: Error): Error {
    const next = this.#next
    if (next?.reason !== 'plain-read') return reason
    this.refuse(next.error, messageOf(reason))
    return next.error
  }

  /** There is another run, unless there have been as many as there may be. Where no server was reached, a run costs nothing. */
  #repeat(reason: Rerun['reason'], error: Error, verdict: RerunVerdict): Rerun | undefined {
    const isRefusal = verdict !== undefined && 'isRefusal' in verdict && verdict.isRefusal
    if (!isRefusal && ++this.#counted > TRANSACTION_RETRY.retries) {
      RUN_OUT.add(error)
      return this.refuse(error, `it has run ${this.#attempts} times`)
    }
    this.#next = { reason, error, at: systemClock.now() }
    return this.#next
  }

  /** There is no other run, for this reason. */
  refuse(error: Error, whyNot: string): undefined {
    this.#next = undefined
    addReason(error, whyNot)
  }

  /** Runs the statement on this client: again, if a run has failed. */
  run(client: LeasedClient, done: Told): void {
    const { query, values } = this.#call
    const next = this.#next
    if (next?.reason === 'plain-read' || next?.reason === 'stalled') return this.#readAgain(client, next, done)
    if (next) this.#publish(next)
    client.query(query as string, values as unknown[], done)
  }

  #readAgain(client: LeasedClient, next: Rerun, done: Told): void {
    const told: Told = (error, result) => {
      if (!error || !isConnectionLost(error) || error === next.error) return done(error, result)
      if (!wasTooSlow(error.cause)) this.#lossOfRead = error
      done(secondLoss(error, next.error), result)
    }
    this.#source.reads.run(client, this.#call, next.error, () => this.#publish(next), told)
  }

  #publish({ reason, error, at }: Rerun): void {
    publishRetry(this.#source.publisher, { reason, attempt: ++this.#attempts, error, at })
  }
}
