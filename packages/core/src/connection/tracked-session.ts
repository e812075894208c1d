import { type Answered, type TrackedSession, XidTracker } from '../commit/xid-tracker.ts'
import { markQuestion } from '../driver/answer-so-far.ts'
import { type Pipeline, queryOf } from '../driver/pipeline.ts'
import type { DriverSession } from '../driver/session.ts'
import type { TransactionStatus } from '../policy/reset.ts'

/** Tracks the transaction ids of one session. `pool` is shared by the connections of a pool. */
export function trackXids(session: DriverSession, pipeline: Pipeline, pool: { isRefused: boolean }): XidTracker {
  return new XidTracker(new SessionWithPipeline(session, pipeline), pool)
}

/** A session, as the tracker of transaction ids sees it. */
class SessionWithPipeline implements TrackedSession {
  readonly #session: DriverSession
  readonly #pipeline: Pipeline

  constructor(session: DriverSession, pipeline: Pipeline) {
    this.#session = session
    this.#pipeline = pipeline
  }

  get transactionStatus(): TransactionStatus {
    return this.#session.transactionStatus
  }

  get backendPid(): number | null {
    return this.#session.backendPid
  }

  servedBy(pid: number): void {
    this.#session.servedBy(pid)
  }

  get isIdle(): boolean {
    return this.#pipeline.isIdle
  }

  enqueue(sql: string, answered: Answered): void {
    this.#pipeline.enqueue(markQuestion(queryOf(sql, answered)))
  }

  sendBehind(sql: string, answered: Answered): void {
    this.#pipeline.sendEarly(markQuestion(queryOf(sql, answered)))
  }
}
