import {
  type Answered,
  type KnownOfProbes,
  type Probe,
  type TrackedSession,
  XidTracker,
} from '../commit/xid-tracker.ts'
import { markQuestion } from '../driver/answer-so-far.ts'
import type { DriverQuery } from '../driver/internals.ts'
import { type Pipeline, queryOf } from '../driver/pipeline.ts'
import { PreparedQuestion } from '../driver/prepared-question.ts'
import type { PreparedStatements } from '../driver/prepared-statements.ts'
import type { DriverSession } from '../driver/session.ts'
import type { TransactionStatus } from '../policy/reset.ts'

/** What tracking the transaction ids of a session takes. */
interface TrackedParts {
  readonly session: DriverSession
  readonly pipeline: Pipeline
  readonly preparedStatements: PreparedStatements
}

/** Tracks the transaction ids of one session. `pool` is shared by the connections of a pool. */
export function trackXids(parts: TrackedParts, pool: KnownOfProbes): XidTracker {
  return new XidTracker(new SessionWithPipeline(parts), pool)
}

/** The name of the probe that most transactions send. */
const PROBE_NAME = 'holdfast_xid'
const PROBE_COLUMNS = ['xid', 'pid']

/** A session, as the tracker of transaction ids sees it. */
class SessionWithPipeline implements TrackedSession {
  readonly #session: DriverSession
  readonly #pipeline: Pipeline
  readonly #prepared: PreparedStatements

  constructor({ session, pipeline, preparedStatements }: TrackedParts) {
    this.#session = session
    this.#pipeline = pipeline
    this.#prepared = preparedStatements
  }

  get transactionStatus(): TransactionStatus {
    return this.#session.transactionStatus
  }

  get backendPid(): number | null {
    return this.#session.backendPid
  }

  servedBy(pid: number | undefined): void {
    this.#session.servedBy(pid)
  }

  get isIdle(): boolean {
    return this.#pipeline.isIdle
  }

  enqueue(sql: string, answered: Answered): void {
    this.#pipeline.enqueue(markQuestion(queryOf(sql, answered)))
  }

  sendBehind(probe: Probe): void {
    this.#pipeline.sendEarly(probeQuery(probe, this.#prepared))
  }
}

/** A probe as the driver takes it. */
export function probeQuery({ sql, isPrepared, answered }: Probe, prepared: PreparedStatements): DriverQuery {
  if (!isPrepared) return markQuestion(queryOf(sql, answered))
  const question = new PreparedQuestion(PROBE_NAME, sql, PROBE_COLUMNS, answered)
  prepared.use(question)
  return question
}
