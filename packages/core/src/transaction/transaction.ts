import type { LeasedClient } from '../connection/physical-client.ts'
import { type QueryArguments, textOf } from '../connection/query-arguments.ts'
import { HoldfastError, TransactionStateError } from '../errors.ts'
import { transactionControlIn } from '../sql/statement.ts'
import { requireFunction } from './transaction-options.ts'
import { refuse, type TransactionState } from './transaction-state.ts'

/** What runs in a transaction, or in a savepoint of it. */
export type TransactionFunction<Result> = (tx: Transaction) => Promise<Result> | Result

/**
 * An open transaction, as its function sees it; or one savepoint of it. It ends with its function: it is committed when
 * the function resolves, and rolled back when it rejects. Every query after that is refused with a `TransactionStateError`.
 */
export class Transaction {
  /** Which attempt at the whole transaction this is, from 1. */
  readonly attempt: number
  /**
   * Runs a statement in this transaction, in every form that `client.query` of pg has. BEGIN, COMMIT and ROLLBACK are
   * refused (code 2D000): throw to roll back, use `savepoint` to nest.
   *
   * @throws {TransactionStateError} when the transaction has ended, or one of its savepoints has not.
   */
  readonly query: LeasedClient['query']
  readonly #state: TransactionState
  readonly #outer: Transaction | undefined
  #inner: Transaction | undefined
  #hasEnded = false

  constructor(state: TransactionState, attempt: number, outer?: Transaction) {
    this.attempt = attempt
    this.#state = state
    this.#outer = outer
    this.query = ((...args: QueryArguments) => this.#query(args)) as LeasedClient['query']
  }

  /**
   * Runs `fn` in a savepoint: if it fails, its changes are undone, and the rest of the transaction can go on. In `fn`, use
   * the transaction that it is given. This one is refused until `fn` has settled, since a failure would undo its changes,
   * too. So savepoints run one after the other.
   *
   * @throws What `fn` throws.
   * @throws {TransactionStateError} when the transaction has ended, or another savepoint of it has not.
   */
  async savepoint<Result>(fn: TransactionFunction<Result>): Promise<Result> {
    requireFunction(fn, 'tx.savepoint(fn)')
    const refusal = this.#refusal()
    if (refusal) throw refusal
    const name = this.#state.nextSavepoint()
    const inner = new Transaction(this.#state, this.attempt, this)
    this.#inner = inner
    try {
      await this.#state.send(`SAVEPOINT ${name}`)
      return await this.#runSavepoint(name, inner, fn)
    } finally {
      this.#inner = undefined
    }
  }

  /**
   * Runs the function of a transaction, and ends the transaction with it: nothing is sent after that.
   *
   * @throws What `fn` throws.
   * @throws {TransactionStateError} when `fn` has left a savepoint, a cursor or a stream open.
   */
  static async run<Result>(tx: Transaction, fn: TransactionFunction<Result>): Promise<Result> {
    let result: Result
    try {
      result = await fn(tx)
    } finally {
      tx.#hasEnded = true
    }
    const objection = tx.#state.commitBlocker ?? tx.#leftOpen()
    if (objection) throw objection
    return result
  }

  async #runSavepoint<Result>(name: string, inner: Transaction, fn: TransactionFunction<Result>): Promise<Result> {
    try {
      const result = await Transaction.run(inner, fn)
      if (this.#isOver()) throw new TransactionStateError(ENDED)
      await this.#state.send(`RELEASE SAVEPOINT ${name}`)
      return result
    } catch (error) {
      await this.#rollBackTo(name)
      throw error
    }
  }

  /** Returns to the state before the savepoint, and removes the savepoint. */
  async #rollBackTo(name: string): Promise<void> {
    if (this.#isOver()) return
    if (this.#state.hasOpenReader) this.#state.blockCommit(new TransactionStateError(HELD_OPEN))
    if (this.#state.commitBlocker) return
    try {
      // Two texts, not one: when a connection is lost in a text of several statements, one of them may have been a COMMIT.
      await this.#state.send(`ROLLBACK TO SAVEPOINT ${name}`)
      await this.#state.send(`RELEASE SAVEPOINT ${name}`)
    } catch {
      // The caller gets the first error. If this one matters, COMMIT fails, too.
    }
  }

  #query(args: QueryArguments): unknown {
    const refusal = this.#refusal() ?? refusalOfText(textOf(args[0]))
    return refusal ? refuse(refusal, args) : this.#state.send(...args)
  }

  #refusal(): Error | undefined {
    if (this.#isOver()) return new TransactionStateError(ENDED)
    if (this.#inner) return new TransactionStateError(IN_SAVEPOINT)
    return this.#state.commitBlocker
  }

  /** A savepoint is over when its transaction is. */
  #isOver(): boolean {
    if (this.#hasEnded) return true
    return this.#outer ? this.#outer.#isOver() : false
  }

  #leftOpen(): Error | undefined {
    if (this.#inner) return new TransactionStateError('A savepoint was still open when the transaction ended: await it')
    return this.#state.hasOpenReader ? new TransactionStateError(HELD_OPEN) : undefined
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
