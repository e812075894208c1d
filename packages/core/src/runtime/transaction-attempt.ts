import { followSignal } from './on-abort.ts'

/** What an attempt knows of a lease. */
interface Holding {
  readonly number: number
  readonly attempt: TransactionAttempt | undefined
  readonly begunIn?: TransactionAttempt | undefined
  isHeld(number: number): boolean
}

/** An attempt at a transaction that begins after another has failed. */
export interface TransactionRerun {
  /** From 2. */
  readonly attempt: number
  /** Why the attempt before failed. */
  readonly error: unknown
  /** How long ago that was, in milliseconds. */
  readonly pausedMillis: number
}

/** Where a pool tells of it. */
interface RerunPublisher {
  publish(event: { readonly type: 'transaction-retried' } & TransactionRerun): void
}

/**
 * One attempt at a transaction, as whoever leases its connection and sends its statements must know it: an ORM that runs
 * the transaction tells nobody what became of it. It is found by the scope in which the ORM acquires.
 */
export class TransactionAttempt {
  /** From 1. */
  readonly number: number
  /** Where the transaction was asked for. */
  readonly origin: Error | undefined
  #outer: TransactionAttempt | undefined
  readonly #own = new Map<Holding, { readonly number: number; readonly release: () => void }>()
  readonly #whenEnded: (() => void)[] = []
  #publisher: RerunPublisher | undefined
  #hasBegun = false
  #hasReturned = false
  #hasEnded = false
  #hasCommitted = false
  /** Those that were lost with a COMMIT, or may have been. */
  readonly #lost = new Set<Holding>()
  /** Statements without an answer so far that may commit: an ORM need not wait for them. */
  readonly #pending = new Set<object>()

  constructor(number: number, outer?: TransactionAttempt, origin?: Error) {
    this.number = number
    this.#outer = outer
    this.origin = origin
  }

  /** Of the transaction in whose function this one was asked for, while that lasts; else of the one around that. */
  get outer(): TransactionAttempt | undefined {
    let outer = this.#outer
    while (outer?.hasEnded) outer = outer.#outer
    return outer
  }

  /** Whether its function runs, or has run. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Whether its function runs: it may wait for something. */
  get isAtWork(): boolean {
    return this.#hasBegun && !this.#hasReturned
  }

  /** Whether it is over: what it was given holds for nobody any more. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Whether the server may have committed: then the work must never run again. */
  get mayHaveCommitted(): boolean {
    return this.#hasCommitted || this.#lost.size > 0 || this.#pending.size > 0
  }

  /** Takes note of the pool that its own connection is asked of: that one hears when the transaction runs again. */
  acquiresFrom(publisher: RerunPublisher): void {
    if (!this.#hasBegun) this.#publisher ??= publisher
  }

  /** It has failed, and the next attempt begins. */
  runsAgain(rerun: TransactionRerun): void {
    this.#publisher?.publish({ type: 'transaction-retried', ...rerun })
  }

  /** Takes note of a lease; those from before the work begins are the transaction's own. */
  leased(lease: Holding, release: () => void): void {
    if (!this.#hasBegun) this.#own.set(lease, { number: lease.number, release })
  }

  /** The work begins: whatever it acquires is its own business. */
  begin(): void {
    this.#hasBegun = true
  }

  /** The function has settled: it waits for nothing any more. */
  returned(): void {
    this.#hasReturned = true
  }

  /** Does this when the attempt ends. */
  whenEnded(task: () => void): void {
    this.#whenEnded.push(task)
  }

  /** Is aborted when `signal` is, while the attempt lasts: what runs on after its end is not given up by it. */
  follow(signal: AbortSignal): AbortSignal {
    const { signal: own, leave } = followSignal(signal)
    this.whenEnded(leave)
    return own
  }

  /** Something is sent on this lease that may commit. */
  expectCommit(lease: Holding, statement: object): void {
    if (this.#own.has(lease)) this.#pending.add(statement)
  }

  /** It was answered, or lost: then whoever knows of that has noted it before. */
  expectNoMore(statement: object): void {
    this.#pending.delete(statement)
  }

  /** A COMMIT was answered on this lease, or found out to be carried out. */
  noteCommit(lease: Holding): void {
    if (this.#own.has(lease)) this.#hasCommitted = true
  }

  /** Its connection was lost: whether a COMMIT that wasn't answered may have been carried out. */
  noteLoss(lease: Holding, isUnknown: boolean): void {
    if (isUnknown && this.#own.has(lease)) this.#lost.add(lease)
    else this.#lost.delete(lease)
  }

  /**
   * It is over: what its ORM still holds (Drizzle 0.45, after a failed BEGIN) is released, and of those around it only
   * one that lasts is remembered, or each job that begins the next one would keep all before it.
   */
  end(): void {
    this.#hasEnded = true
    this.#outer = this.outer
    for (const task of this.#whenEnded.splice(0)) task()
    for (const [lease, { number, release }] of this.#own) if (lease.isHeld(number)) release()
  }

  /** Whether work that runs on after the end would meet somebody else's session here. */
  isStrangerTo(lease: Holding): boolean {
    if (!this.#hasEnded || lease.attempt === this || lease.begunIn === this) return false
    const own = this.#own.get(lease)
    return own !== undefined && own.number !== lease.number
  }
}
