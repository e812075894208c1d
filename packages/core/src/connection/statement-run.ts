import { type QueryResult, Result, types } from 'pg'
import { whenSent } from '../driver/pipeline.ts'
import { TransactionRolledBackError } from '../errors.ts'
import { abortReason, onAbort } from '../runtime/abort.ts'
import type { Cancel } from '../runtime/clock.ts'
import { runUserCode } from '../runtime/context.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import { asksForCommit, mayCommit, onlyRollsBack, type StatementKind } from '../sql/statement.ts'
import { codeOf } from '../thrown.ts'
import type { ClientOwner } from './client-owner.ts'
import type { Callback } from './query-arguments.ts'
import type { Statement } from './statements.ts'

const IN_FAILED_TRANSACTION = '25P02' // in_failed_sql_transaction

/** Command tags of statements that end or begin a transaction, drop prepared statements, or have written. */
const EFFECTS: ReadonlyMap<string, 'transaction' | 'statements' | 'write'> = new Map([
  ['BEGIN', 'transaction'],
  ['START TRANSACTION', 'transaction'],
  ['COMMIT', 'transaction'],
  ['ROLLBACK', 'transaction'],
  ['PREPARE TRANSACTION', 'transaction'],
  ['DISCARD', 'statements'],
  ['DEALLOCATE', 'statements'],
  ['INSERT', 'write'],
  ['UPDATE', 'write'],
  ['DELETE', 'write'],
  ['MERGE', 'write'],
])

/** One call of `query`: from giving its statement to the driver to telling its caller, which happens once. */
export class StatementRun {
  readonly #statement: Statement
  readonly #owner: ClientOwner
  readonly #kind: StatementKind
  readonly #callback: Callback
  readonly #attempt: TransactionAttempt | undefined
  /** Whether it is the first one of its lease, and how its caller gives up: it may run again on another connection. */
  readonly #isFirst: boolean
  #signal: AbortSignal | undefined
  #cancelTimeout: Cancel | undefined
  #stopWatchingSignal: Cancel | undefined
  #onEnded: ((error: Error | undefined) => void) | undefined
  #isOver = false
  #isHeld = false
  #isTold = false

  constructor(owner: ClientOwner, text: string | undefined, kind: StatementKind, callback: Callback, isFirst = false) {
    this.#statement = owner.statements.begin(text)
    this.#owner = owner
    this.#kind = kind
    this.#callback = callback
    this.#isFirst = isFirst
    this.#attempt = owner.lease.attempt
    if (this.#attempt && mayCommit(text)) this.#attempt.noteSent(owner.lease, this.#statement)
  }

  /** Gives the statement `timeoutMillis`, or the pool's timeout. */
  startTimeout(timeoutMillis: number | undefined): void {
    this.#cancelTimeout = this.#owner.statements.startTimeout(timeoutMillis, this.#kind === 'commit')
  }

  /**
   * Gives it to the driver by `send`, which sends it behind statements of other callers. Its timeout ends the connection only if
   * the server executes it: those in front of it may be to blame. `onEnded` is called when it was answered, or has failed, before
   * its caller is told.
   */
  follow(timeoutMillis: number | undefined, onEnded: (error: Error | undefined) => void, send: () => void): void {
    const { statements, pipeline } = this.#owner
    const statement = this.#statement
    this.#onEnded = onEnded
    statement.sent = true
    statement.hasFollowed = true
    this.#cancelTimeout = statements.startTimeout(timeoutMillis, false, this.#giveUpBehind)
    pipeline.follow(send)
  }

  readonly #giveUpBehind = (late: Error): boolean => {
    if (this.#owner.statements.inFlight.first === this.#statement) return false
    this.#statement.isGivenUp = true
    this.#tell(late)
    return true
  }

  /** When the signal aborts, the server is told to stop, and the caller is told at once. The answer is ignored. */
  watchSignal(signal: AbortSignal): void {
    this.#signal = signal
    this.#stopWatchingSignal = onAbort(signal, () => {
      const reason = abortReason(signal)
      this.#owner.cancellation.cancel(this.#statement, reason)
      this.#tell(reason)
    })
  }

  /** Whether it can be given to the driver as it is: it is no part of a transaction, and nothing waits before it. */
  get isAlone(): boolean {
    const { pipeline, xidTracker } = this.#owner
    return this.#kind === 'work' && pipeline.isIdle && (xidTracker?.isOutside ?? true)
  }

  /** Gives the statement to the driver by `send`, together with the probes for the id of its transaction. */
  give(send: () => void): void {
    const { xidTracker, pipeline } = this.#owner
    const isEarly = xidTracker?.prepare(this.#kind) === 'early'
    const give = (): void => this.#enqueue(send, isEarly)
    if (isEarly || xidTracker?.willProbe(this.#kind)) pipeline.inOneWrite(give)
    else give()
  }

  #enqueue(send: () => void, isEarly: boolean): void {
    const { xidTracker, pipeline } = this.#owner
    const statement = this.#statement
    const kind = this.#kind
    const query = pipeline.queuedBy(send)
    // An instrumentation that overrides `query` may not have given it to the driver so far.
    if (!query) return xidTracker?.sent(pipeline.isBusy ? kind : 'opaque')
    statement.queued = query
    statement.sent = false
    whenSent(query, (submit) => {
      statement.queued = undefined
      statement.sent = true
      const problem = submit()
      if (!problem) xidTracker?.sent(kind)
      return problem
    })
    if (isEarly) pipeline.sendEarly(query)
  }

  /** The driver didn't accept the statement and throws: the caller gets the exception. */
  refused(error: Error): void {
    this.#leave()
    if (this.#isFirst) this.#owner.lease.endFirst()
    if (!this.#isOver) this.#end(error)
  }

  /** The callback for the driver. */
  readonly answered: Callback = (error, result) => {
    if (this.#isOver || this.#isHeld) return // The driver calls twice for values that it can't convert.
    const check = error || this.#kind !== 'work' ? this.#checkRole(error) : undefined
    if (check) this.#hold(check, error, result)
    else this.#accept(error, result)
  }

  #checkRole(error: Error | null): Promise<void> | undefined {
    return this.#owner.roleCheck.after(error, this.#kind, this.#statement.text)
  }

  /** Its caller is told when it is known what the error means. */
  #hold(check: Promise<void>, error: Error | null, result: QueryResult | undefined): void {
    this.#isHeld = true
    void check.then(() => this.#accept(error, result))
  }

  #accept(error: Error | null, result: QueryResult | undefined): void {
    const completed = error ? this.#owner.statements.resultDespite(error, this.#statement) : undefined
    if (completed) this.#take(null, completed)
    else this.#take(error, result)
  }

  #take(error: Error | null, result: QueryResult | undefined): void {
    const owner = this.#owner
    const { text } = this.#statement
    const { firstFailure } = owner.statements
    this.#end(error ?? undefined)
    if (this.#attempt && hasCommitted(result)) this.#attempt.noteCommit(owner.lease)
    const effect = this.#kind === 'work' ? EFFECTS.get(result?.command ?? '') : undefined
    if (effect === 'transaction') owner.xidTracker?.loseTrack()
    else if (effect === 'write') owner.serverRole.noteWrite()
    else if (effect) owner.preparedStatements.dropAll()
    if (error) this.#tellFailure(error)
    else if (result?.command === 'ROLLBACK' && asksForCommit(text))
      this.#tell(new TransactionRolledBackError(firstFailure ?? owner.xidTracker?.spoiltBy))
    else this.#tell(null, result)
  }

  #tellFailure(error: Error): void {
    const owner = this.#owner
    const outcome = this.#kind === 'commit' ? owner.resolveCommit(this.#statement) : undefined
    if (outcome)
      void outcome.then((isCommitted) => {
        if (isCommitted) this.#tell(null, resultOf('COMMIT'))
        else this.#tell(owner.statements.errorFor(error, this.#statement))
      })
    else if (isRollbackDone(owner, this.#statement.text)) this.#tell(null, resultOf('ROLLBACK'))
    else {
      const spoiltBy = owner.xidTracker?.spoiltBy
      // Not the caller's failure: the transaction may run again.
      if (spoiltBy && codeOf(error) === IN_FAILED_TRANSACTION) error.cause ??= spoiltBy
      this.#tellOrRunElsewhere(owner.statements.errorFor(error, this.#statement))
    }
  }

  #tellOrRunElsewhere(error: Error): void {
    const { lease, session } = this.#owner
    const signal = this.#signal
    const done = this.#callback
    // A listener for `acquire` may have begun a transaction.
    const isOutside = session.transactionStatus === 'I'
    if (this.#isFirst && !this.#isTold && isOutside && lease.runElsewhere({ error, signal, done })) this.#leave()
    else this.#tell(error)
  }

  /** Its caller is told by another run. */
  #leave(): void {
    this.#isTold = true
    this.#stopWatchingSignal?.()
  }

  #tell(error: Error | null, result?: QueryResult): void {
    if (this.#isTold) return
    this.#leave()
    if (this.#isFirst) this.#owner.lease.endFirst()
    runUserCode(() => this.#callback(error, result))
  }

  #end(error: Error | undefined): void {
    this.#isOver = true
    this.#cancelTimeout?.()
    this.#owner.statements.end(this.#statement, error)
    this.#attempt?.noteAnswered(this.#statement)
    this.#onEnded?.(error)
  }
}

/** A statement that isn't sent. */
export interface Refused {
  readonly text: string | undefined
  readonly refusal: Error
  readonly signal: AbortSignal | undefined
  /** Whether it is the first one of its lease. */
  readonly isFirst: boolean
}

/** Tells the caller, after `query` has returned, that the statement isn't sent; the first one of a lease runs elsewhere. */
export function refuse(owner: ClientOwner, { text, refusal, signal, isFirst }: Refused, callback: Callback): void {
  if (isFirst && owner.lease.runElsewhere({ error: refusal, signal, done: callback })) return
  if (isFirst) owner.lease.endFirst()
  if (isRollbackDone(owner, text)) process.nextTick(callback, null, resultOf('ROLLBACK'))
  else process.nextTick(callback, refusal)
}

/** The server rolls back when a connection is lost before COMMIT. A ROLLBACK then succeeds, and can't hide the loss. */
function isRollbackDone(owner: ClientOwner, text: string | undefined): boolean {
  return owner.isRolledBack && onlyRollsBack(text)
}

/** The result that the server had no time to send. */
function resultOf(command: 'COMMIT' | 'ROLLBACK'): QueryResult {
  return Object.assign(new Result('', types), { command }) as unknown as QueryResult
}

/** Whether the server has reported a COMMIT; of several statements in one text, by any of them. */
function hasCommitted(result: QueryResult | readonly QueryResult[] | undefined): boolean {
  if (Array.isArray(result)) return result.some(hasCommitted)
  return (result as QueryResult | undefined)?.command === 'COMMIT'
}
