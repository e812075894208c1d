import type { QueryResult } from 'pg'
import { EnclosedQuery } from '../driver/enclosed-query.ts'
import type { DriverQuery } from '../driver/internals.ts'
import { queryOf } from '../driver/pipeline.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { StatementKind } from '../sql/statement.ts'
import type { ClientOwner } from './client-owner.ts'
import type { Callback } from './query-arguments.ts'
import { StatementRun } from './statement-run.ts'
import { probeQuery } from './tracked-session.ts'

/**
 * How a statement is enclosed in a transaction of its own:
 * - `commit`: COMMIT is sent when the statement was answered, so that the transaction's id is known before it can be lost;
 * - `read-only`: in BEGIN READ ONLY and COMMIT, which go into the same write. The server refuses whatever writes.
 */
export type Enclosing = 'commit' | 'read-only'

/** A statement that is to be enclosed. */
export interface EnclosedStatement {
  readonly kind: StatementKind
  readonly as: Enclosing
  /** For the statement; undefined for the pool's `query_timeout`. */
  readonly timeoutMillis: number | undefined
  /** For COMMIT, beside `commitTimeoutMillis`. */
  readonly commitTimeoutMillis: number | undefined
  readonly signal: AbortSignal | undefined
  /** Gives the statement to the driver, which calls back. */
  readonly send: (answered: Callback) => void
}

/**
 * Runs one statement in a transaction of its own, on a session that is idle and outside of a transaction. BEGIN, the
 * statement and the probe for the transaction's id are one write under one Sync; COMMIT is the second round trip. The first
 * such statement of a connection takes one more, since a probe that fails would abort the transaction.
 *
 * Its caller is told once, when the transaction has ended: the statement's result if COMMIT was carried out, else the first
 * error. A signal that aborts is told at once. Until COMMIT is sent, a loss means that nothing was written.
 */
export class EnclosedRun {
  readonly #owner: ClientOwner
  readonly #statement: EnclosedStatement
  readonly #callback: Callback
  #query: EnclosedQuery | undefined
  #isAnswered = false
  #isGivenUp = false

  constructor(owner: ClientOwner, statement: EnclosedStatement, callback: Callback) {
    this.#owner = owner
    this.#statement = statement
    this.#callback = callback
  }

  /** Sends it. Throws if the driver doesn't accept the statement. */
  start(): void {
    const { xidTracker, preparedStatements } = this.#owner
    const { kind, as, timeoutMillis, signal } = this.#statement
    const begin = as === 'read-only' ? 'BEGIN READ ONLY' : 'BEGIN'
    const probe = as === 'read-only' ? undefined : xidTracker?.probeForEnclosed()
    const behind = as === 'read-only' ? queryOf('COMMIT', () => {}) : probe && probeQuery(probe, preparedStatements)
    // Known by its BEGIN: a statement in a transaction that is open commits nothing by itself.
    const run = new StatementRun(this.#owner, begin, 'begin', this.#told)
    run.startTimeout(timeoutMillis)
    if (signal) run.watchSignal(signal)
    const answered: Callback = (error, result) => {
      if (this.#isAnswered) return // The driver calls twice for values that it can't convert.
      this.#isAnswered = true
      run.answered(error, result)
      if (this.#isGivenUp) this.#endBy(() => {})
    }
    try {
      run.give(() => this.#send(begin, behind, answered))
    } catch (error) {
      run.refused(error as Error)
      throw error
    }
    if (as === 'commit') xidTracker?.sentEnclosed(kind, probe !== undefined)
  }

  #send(begin: string, behind: DriverQuery | undefined, answered: Callback): void {
    const { pipeline, preparedStatements } = this.#owner
    const onNext = (): void => preparedStatements.nextBegins()
    pipeline.replaceQueued(
      () => this.#statement.send(answered),
      (query) => {
        this.#query = new EnclosedQuery(query, { begin, behind, onNext })
        return this.#query
      },
    )
  }

  /** The first write was answered or has failed, or the caller has given up. */
  readonly #told: Callback = (error, result) => {
    if (!this.#isAnswered) {
      this.#isGivenUp = true
      this.#callback(error)
    } else if (error) this.#endBy(() => this.#callback(error))
    else if (this.#statement.as === 'read-only') this.#callback(null, result)
    else this.#commit(result)
  }

  #commit(result: QueryResult | undefined): void {
    const told: Callback = (error) => this.#callback(error, error ? undefined : result)
    this.#sendNext('COMMIT', 'commit', this.#statement.commitTimeoutMillis, told)
  }

  /** Rolls back if the transaction may be open. The first error is told, whatever becomes of ROLLBACK. */
  #endBy(then: () => void): void {
    const isCommitted = this.#statement.as === 'read-only' && this.#query?.isExecuted
    if (this.#owner.isLost || !this.#query?.isBegun || isCommitted) then()
    else this.#sendNext('ROLLBACK', 'rollback', INTERNAL_QUERY_TIMEOUT_MILLIS, then)
  }

  /** Sends it before everything that waits in the queue. */
  #sendNext(text: string, kind: StatementKind, timeoutMillis: number | undefined, told: Callback): void {
    const { pipeline } = this.#owner
    const run = new StatementRun(this.#owner, text, kind, told)
    run.startTimeout(timeoutMillis)
    pipeline.ahead(() => run.give(() => pipeline.enqueue(queryOf(text, run.answered))))
  }
}
