import { followSignal } from './abort.ts'

/** What an attempt knows of a lease. */
interface AttemptLease {
  readonly number: number
  readonly attempt: TransactionAttempt | undefined
  readonly begunIn?: TransactionAttempt | undefined
  isHeld(number: number): boolean
}

/** An attempt at a transaction that follows a failed one. */
export interface TransactionRetry {
  /** From 2. */
  readonly attempt: number
  /** Why the attempt before failed. */
  readonly error: unknown
  /** How long ago that was, in milliseconds. */
  readonly pausedMillis: number
}

/** Where a pool publishes retries. */
interface RetryPublisher {
  publish(event: { readonly type: 'transaction-retried' } & TransactionRetry): void
}

/**
 * The record of one attempt at a transaction: which leases are its own, and what became of COMMIT on them. An ORM that
 * runs the transaction doesn't tell that, so the connection notes it here. It finds the attempt by the scope in which the
 * ORM acquires.
 */
export class TransactionAttempt {
  /** From 1. */
  readonly number: number
  /** Its stack is that of the code that asked for the transaction. */
  readonly origin: Error | undefined
  #outer: TransactionAttempt | undefined
  readonly #own = new Map<AttemptLease, { readonly number: number; readonly release: () => void }>()
  readonly #onEnd: (() => void)[] = []
  #publisher: RetryPublisher | undefined
  #isClientHidden = false
  #hasFunctionStarted = false
  #hasFunctionEnded = false
  #hasEnded = false
  #hasCommitted = false
  /** Own leases whose connection was lost with a COMMIT, or possibly with one. */
  readonly #lost = new Set<AttemptLease>()
  /** Statements that may commit and have no answer so far: an ORM need not wait for them. */
  readonly #unanswered = new Set<object>()

  constructor(number: number, outer?: TransactionAttempt, origin?: Error) {
    this.number = number
    this.#outer = outer
    this.origin = origin
  }

  /** The attempt in whose function this transaction was asked for; when that has ended, the one around it. */
  get outer(): TransactionAttempt | undefined {
    let outer = this.#outer
    while (outer?.hasEnded) outer = outer.#outer
    return outer
  }

  /** Whether the function of the transaction runs, or has run. */
  get hasFunctionStarted(): boolean {
    return this.#hasFunctionStarted
  }

  /** Whether the function of the transaction runs, so that it may be waiting for something. */
  get isFunctionRunning(): boolean {
    return this.#hasFunctionStarted && !this.#hasFunctionEnded
  }

  /** Whether the attempt is over, so that its options apply to nothing any more. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Whether the server may have committed. Then the function must never run again. */
  get mayHaveCommitted(): boolean {
    return this.#hasCommitted || this.#lost.size > 0 || this.#unanswered.size > 0
  }

  /** Notes which pool the transaction's own connection is acquired from: that one publishes its retries. */
  notePublisher(publisher: RetryPublisher): void {
    if (!this.#hasFunctionStarted) this.#publisher ??= publisher
  }

  /** Publishes that the transaction is tried again. Called on the attempt that failed. */
  publishRetry(retry: TransactionRetry): void {
    this.#publisher?.publish({ type: 'transaction-retried', ...retry })
  }

  /** Notes a lease. Those from before the function starts are the transaction's own. */
  noteLease(lease: AttemptLease, release: () => void): void {
    if (!this.#hasFunctionStarted) this.#own.set(lease, { number: lease.number, release })
  }

  /** The function never sees the client: what it sees instead refuses late statements by itself. */
  hideClient(): void {
    this.#isClientHidden = true
  }

  /** The function starts. What it acquires is no lease of the transaction's own. */
  startFunction(): void {
    this.#hasFunctionStarted = true
  }

  /** The function has settled, and waits for nothing any more. */
  endFunction(): void {
    this.#hasFunctionEnded = true
  }

  /** Runs `task` when the attempt ends. */
  onEnd(task: () => void): void {
    this.#onEnd.push(task)
  }

  /** A signal that is aborted with `signal` while the attempt lasts: code that runs on after the end is not aborted by it. */
  follow(signal: AbortSignal): AbortSignal {
    const { signal: own, leave } = followSignal(signal)
    this.onEnd(leave)
    return own
  }

  /** A statement that may commit is sent on this lease. */
  noteSent(lease: AttemptLease, statement: object): void {
    if (this.#own.has(lease)) this.#unanswered.add(statement)
  }

  /** That statement was answered or lost. A commit or a loss has been noted before. */
  noteAnswered(statement: object): void {
    this.#unanswered.delete(statement)
  }

  /** A COMMIT was answered on this lease, or found to be carried out. */
  noteCommit(lease: AttemptLease): void {
    if (this.#own.has(lease)) this.#hasCommitted = true
  }

  /** The connection of this lease was lost; `isUnknown` says that a COMMIT without an answer may be carried out. */
  noteLoss(lease: AttemptLease, isUnknown: boolean): void {
    if (isUnknown && this.#own.has(lease)) this.#lost.add(lease)
    else this.#lost.delete(lease)
  }

  /**
   * Ends the attempt. Releases what its ORM still holds (as Drizzle 0.45 does after a failed BEGIN), and forgets outer
   * attempts that have ended, so that a job that starts the next job doesn't keep all jobs before it.
   */
  end(): void {
    this.#hasEnded = true
    this.#outer = this.outer
    for (const task of this.#onEnd.splice(0)) task()
    for (const [lease, { number, release }] of this.#own) if (lease.isHeld(number)) release()
  }

  /** Whether code that runs on after the end would use a session here that another caller has leased since. */
  mustNotUse(lease: AttemptLease): boolean {
    if (!this.#hasEnded || this.#isClientHidden || lease.attempt === this || lease.begunIn === this) return false
    const own = this.#own.get(lease)
    return own !== undefined && own.number !== lease.number
  }
}
