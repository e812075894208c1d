import type { LeasedClient } from '../connection/physical-client.ts'
import { HoldfastError, TransactionStateError } from '../errors.ts'
import { transactionControlIn } from '../sql/statement.ts'
import { requireFunction } from './require-function.ts'
import { type QueryArguments, refuse, textOf } from './statement-call.ts'
import type { TransactionState } from './transaction-state.ts'

/** What runs in a transaction, or in a savepoint of it. */
export type TransactionFunction<Result> = (tx: Transaction) => Promise<Result> | Result

/**
 * A transaction under way, as its function sees it; or one savepoint of it. It ends with its function: it is committed
 * when that resolves, rolled back when it rejects, and every later call is refused with a `TransactionStateError`.
 */
export class Transaction {
  /** Which try of the whole transaction this is, from 1. */
  readonly attempt: number
  /**
   * Runs a statement in this transaction: every form that `client.query` of pg has. BEGIN, COMMIT and ROLLBACK are
   * refused (code 2D000): throw to roll back, use `savepoint` to nest.
   *
   * @throws {TransactionStateError} when the transaction has ended, or one of its savepoints has not.
   */
  readonly query: LeasedClient['query']
  readonly #work: TransactionState
  readonly #outer: Transaction | undefined
  #inner: Transaction | undefined
  #hasEnded = false

  constructor(work: TransactionState, attempt: number, outer?: Transaction) {
    this.attempt = attempt
    this.#work = work
    this.#outer = outer
    this.query = ((...call: QueryArguments) => this.#query(call)) as LeasedClient['query']
  }

  /**
   * Runs `fn` in a savepoint: if it fails, what was done in it is undone, and the rest of the transaction can go on.
   * Use the transaction that `fn` is given: until it has settled, this one is refused, for what it did would be undone
   * as well. So savepoints run one after the other.
   *
   * @throws What `fn` throws.
   * @throws {TransactionStateError} when the transaction has ended, or another savepoint of it has not.
   */
  async savepoint<Result>(fn: TransactionFunction<Result>): Promise<Result> {
    requireFunction(fn, 'tx.savepoint(fn)')
    const refusal = this.#refusal()
    if (refusal) throw refusal
    const name = this.#work.nextSavepoint()
    const inner = new Transaction(this.#work, this.attempt, this)
    this.#inner = inner
    try {
      await this.#work.send(`SAVEPOINT ${name}`)
      return await this.#runSavepoint(name, inner, fn)
    } finally {
      this.#inner = undefined
    }
  }

  /**
   * Runs the function, and ends the transaction with it, so that nothing can be sent behind what ends it.
   *
   * @throws What `fn` throws.
   * @throws {TransactionStateError} when `fn` left a savepoint, a cursor or a stream open: half of its work can't be committed.
   */
  static async run<Result>(tx: Transaction, fn: TransactionFunction<Result>): Promise<Result> {
    let result: Result
    try {
      result = await fn(tx)
    } finally {
      tx.#hasEnded = true
    }
    const objection = tx.#work.spoilt ?? tx.#leftOpen()
    if (objection) throw objection
    return result
  }

  async #runSavepoint<Result>(name: string, inner: Transaction, fn: TransactionFunction<Result>): Promise<Result> {
    try {
      const result = await Transaction.run(inner, fn)
      if (this.#isOver()) throw new TransactionStateError(ENDED)
      await this.#work.send(`RELEASE SAVEPOINT ${name}`)
      return result
    } catch (error) {
      await this.#undo(name)
      throw error
    }
  }

  /** Takes the transaction back to where the savepoint began, and forgets the savepoint. */
  async #undo(name: string): Promise<void> {
    if (this.#isOver()) return
    if (this.#work.isHeldOpen) this.#work.spoil(new TransactionStateError(HELD_OPEN))
    if (this.#work.spoilt) return
    try {
      // Two texts and not one: what is lost in the midst of several statements might have been a COMMIT.
      await this.#work.send(`ROLLBACK TO SAVEPOINT ${name}`)
      await this.#work.send(`RELEASE SAVEPOINT ${name}`)
    } catch {
      // The first error is the one worth telling; if this one matters, COMMIT will fail, too.
    }
  }

  #query(call: QueryArguments): unknown {
    const refusal = this.#refusal() ?? refusalOfText(textOf(call))
    return refusal ? refuse(refusal, call) : this.#work.send(...call)
  }

  #refusal(): Error | undefined {
    if (this.#isOver()) return new TransactionStateError(ENDED)
    if (this.#inner) return new TransactionStateError(IN_SAVEPOINT)
    return this.#work.spoilt
  }

  /** A savepoint is over when its transaction is. */
  #isOver(): boolean {
    if (this.#hasEnded) return true
    return this.#outer ? this.#outer.#isOver() : false
  }

  #leftOpen(): Error | undefined {
    if (this.#inner) return new TransactionStateError('A savepoint was still open when the transaction ended: await it')
    return this.#work.isHeldOpen ? new TransactionStateError(HELD_OPEN) : undefined
  }
}

const ENDED = 'This transaction (or savepoint) has ended: it may not be used any more.'
const IN_SAVEPOINT =
  'A savepoint of this transaction is open: use the transaction that its function was given, or await it first.'
const HELD_OPEN =
  'A cursor or stream of the transaction was still open at its end: read it to the end, or close it and wait for that.'

function refusalOfText(text: string | undefined): Error | undefined {
  const word = transactionControlIn(text)?.toUpperCase()
  return word === undefined
    ? undefined
    : new HoldfastError(
        '2D000',
        `${word} is not for the function of a transaction: resolve to commit, throw to roll back, nest with savepoint()`,
      )
}
