import type { Client } from 'pg'
import { type Answered, type TrackedSession, XidTracker } from '../commit/xid-tracker.ts'
import { type DriverInternals, enqueue, internalsOf, queryOf } from '../driver/internals.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import type { TransactionStatus } from '../policy/reset.ts'

/** Tracks the ids of the transactions of one client; `pool` is what the connections of a pool share. */
export function trackXids(client: Client, pipeline: Pipeline, pool: { isRefused: boolean }): XidTracker {
  return new XidTracker(new DriverSession(client, pipeline), pool)
}

/** One client of the driver, as the tracker of transaction ids needs it. */
class DriverSession implements TrackedSession {
  readonly #internals: DriverInternals
  readonly #pipeline: Pipeline

  constructor(client: Client, pipeline: Pipeline) {
    this.#internals = internalsOf(client)
    this.#pipeline = pipeline
  }

  get transactionStatus(): TransactionStatus {
    return this.#internals.getTransactionStatus()
  }

  get backendPid(): number | null {
    return this.#internals.processID
  }

  get isIdle(): boolean {
    return this.#pipeline.isIdle
  }

  enqueue(sql: string, answered: Answered): void {
    enqueue(this.#internals, queryOf(sql, answered))
  }

  sendBehind(sql: string, answered: Answered): void {
    this.#pipeline.sendEarly(queryOf(sql, answered))
  }
}
