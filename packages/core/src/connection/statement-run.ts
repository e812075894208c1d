import { type QueryResult, Result, types } from 'pg'
import { TransactionRolledBackError } from '../errors.ts'
import { abortReason } from '../runtime/abort-reason.ts'
import type { Cancel } from '../runtime/clock.ts'
import { onAbort } from '../runtime/on-abort.ts'
import type { TransactionAttempt } from '../runtime/transaction-attempt.ts'
import { runUserCode } from '../runtime/user-code.ts'
import { asksForCommit, mayCommit, onlyRollsBack, type StatementKind } from '../sql/statement.ts'
import type { ClientOwner } from './client-owner.ts'
import type { Statement } from './in-flight.ts'

/** What the driver calls when a statement has ended, and what its caller is told by. */
export type Callback = (error: Error | null, result?: QueryResult) => void

/** Tags by which the server tells that it has ended a transaction or begun one, or dropped prepared statements. */
const EFFECTS: ReadonlyMap<string, 'transaction' | 'statements'> = new Map([
  ['BEGIN', 'transaction'],
  ['START TRANSACTION', 'transaction'],
  ['COMMIT', 'transaction'],
  ['ROLLBACK', 'transaction'],
  ['PREPARE TRANSACTION', 'transaction'],
  ['DISCARD', 'statements'],
  ['DEALLOCATE', 'statements'],
])

/** One call of the holder's: from the statement that he gives to what he is told of it, once. */
export class StatementRun {
  readonly statement: Statement
  readonly #owner: ClientOwner
  readonly #kind: StatementKind
  readonly #callback: Callback
  readonly #attempt: TransactionAttempt | undefined
  #cancelLimit: Cancel | undefined
  #forgetSignal: Cancel | undefined
  #isOver = false
  #isTold = false

  constructor(owner: ClientOwner, text: string | undefined, kind: StatementKind, callback: Callback) {
    this.statement = owner.begin(text)
    this.#owner = owner
    this.#kind = kind
    this.#callback = callback
    this.#attempt = owner.lease.attempt
    if (this.#attempt && mayCommit(text)) this.#attempt.expectCommit(owner.lease, this.statement)
  }

  /** Gives it `timeoutMillis`, or what holds without. */
  limit(timeoutMillis: number | undefined): void {
    this.#cancelLimit = this.#owner.limit(timeoutMillis, this.#kind === 'commit')
  }

  /** Has the server stop, and tells the caller at once, when he gives up; what comes afterwards is nobody's concern. */
  obey(signal: AbortSignal): void {
    this.#forgetSignal = onAbort(signal, () => {
      const reason = abortReason(signal)
      this.#owner.abort(this.statement, reason)
      this.#tell(reason)
    })
  }

  /** The driver didn't take it, and throws: there is nobody to tell. */
  refused(error: Error): void {
    this.#isTold = true
    this.#forgetSignal?.()
    if (!this.#isOver) this.#end(error)
  }

  /** What the driver calls. */
  readonly answered: Callback = (error, result) => {
    if (this.#isOver) return // The driver calls twice for values that it can't put into words.
    const owner = this.#owner
    const { text } = this.statement
    const failure = owner.firstFailure
    this.#end(error ?? undefined)
    if (this.#attempt && hasCommitted(result)) this.#attempt.noteCommit(owner.lease)
    const effect = this.#kind === 'work' ? EFFECTS.get(result?.command ?? '') : undefined
    if (effect === 'transaction') owner.xidTracker?.loseTrack()
    else if (effect) owner.preparedStatements.dropAll()
    if (error) this.#tellOf(error)
    else if (result?.command === 'ROLLBACK' && asksForCommit(text)) this.#tell(new TransactionRolledBackError(failure))
    else this.#tell(null, result)
  }

  #tellOf(error: Error): void {
    const owner = this.#owner
    const outcome = this.#kind === 'commit' ? owner.outcomeOf(this.statement) : undefined
    if (outcome)
      void outcome.then((isCommitted) => {
        if (isCommitted) this.#tell(null, doneBy('COMMIT'))
        else this.#tell(owner.explain(error, this.statement))
      })
    else if (isDoneAnyway(owner, this.statement.text)) this.#tell(null, doneBy('ROLLBACK'))
    else this.#tell(owner.explain(error, this.statement))
  }

  #tell(error: Error | null, result?: QueryResult): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#forgetSignal?.()
    runUserCode(() => this.#callback(error, result))
  }

  #end(error: Error | undefined): void {
    this.#isOver = true
    this.#cancelLimit?.()
    this.#owner.end(this.statement, error)
    this.#attempt?.expectNoMore(this.statement)
  }
}

/** Tells the holder, once his call has returned, that his statement is not sent. */
export function refuse(owner: ClientOwner, text: string | undefined, refusal: Error, callback: Callback): void {
  if (isDoneAnyway(owner, text)) process.nextTick(callback, null, doneBy('ROLLBACK'))
  else process.nextTick(callback, refusal)
}

/** A connection lost before COMMIT has rolled back: that ROLLBACK is true, and must not hide what the caller died of. */
function isDoneAnyway(owner: ClientOwner, text: string | undefined): boolean {
  return owner.isRolledBack && onlyRollsBack(text)
}

/** An answer that the server did not live to give. */
function doneBy(command: 'COMMIT' | 'ROLLBACK'): QueryResult {
  return Object.assign(new Result('', types), { command }) as unknown as QueryResult
}

/** Whether the server says that it committed; of several statements in one text, any of them. */
function hasCommitted(result: QueryResult | readonly QueryResult[] | undefined): boolean {
  if (Array.isArray(result)) return result.some(hasCommitted)
  return (result as QueryResult | undefined)?.command === 'COMMIT'
}
