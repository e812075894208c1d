import { now } from '../clock.ts'
import { SETTINGS } from '../settings.ts'
import { factsOf, type Operation, type OperationKind, type Outcome } from './operation.ts'
import { Declined } from './transfer-order.ts'

/** An operation without an outcome so far. */
export interface Pending {
  readonly id: number
  readonly kind: OperationKind
  readonly phase: number
  readonly key: string
  readonly startedAt: number
}

/** Records the next step of an operation, so that its error can be assigned to that step. */
export interface Trace {
  step(name: string): void
  /** An attempt of a transaction begins. The attempt before no longer counts: it must have written nothing. */
  attempt(): void
  /** Whether the caller submits a failed operation once more. */
  resubmit(error: unknown): boolean
}

/** Is called with what the journal records. */
export interface JournalListener {
  ended(operation: Operation): void
  /** An operation has been pending for `hangMillis`. Called once. */
  overdue(pending: Pending): void
}

const OVERDUE_CHECK_MILLIS = 200

/** Records every operation from its start to its outcome, and every failure. */
export class Journal {
  readonly #listener: JournalListener
  readonly #pending = new Map<number, Pending>()
  readonly #overdue = new Set<number>()
  #lastId = 0

  constructor(listener: JournalListener) {
    this.#listener = listener
    setInterval(() => this.#lookForOverdue(), OVERDUE_CHECK_MILLIS).unref()
  }

  /** The running operations, oldest first. */
  get pending(): readonly Pending[] {
    return [...this.#pending.values()]
  }

  /** Runs an operation and records how it ended. Never rejects: the callers of a service go on after an error. */
  async run(about: Pick<Pending, 'kind' | 'phase' | 'key'>, work: (trace: Trace) => Promise<unknown>): Promise<void> {
    const pending: Pending = { ...about, id: ++this.#lastId, startedAt: now() }
    this.#pending.set(pending.id, pending)
    const steps = new Steps()
    let outcome: Outcome = about.kind === 'dirty' ? 'abandoned' : 'ok'
    let failure: unknown
    try {
      await work(steps)
    } catch (error) {
      failure = error
      outcome = error instanceof Declined ? 'declined' : 'failed'
    }
    this.#pending.delete(pending.id)
    this.#overdue.delete(pending.id)
    this.#listener.ended({
      ...pending,
      leasedAt: steps.leasedAt,
      endedAt: now(),
      outcome,
      reachedCommit: steps.reachedCommit,
      attempts: steps.attempts,
      wasResubmitted: steps.wasResubmitted,
      ...(outcome === 'failed' ? { error: factsOf(failure, steps.failing, steps.isRollingBack) } : {}),
    })
  }

  #lookForOverdue(): void {
    const since = now() - SETTINGS.hangMillis
    for (const pending of this.#pending.values()) {
      if (pending.startedAt > since || this.#overdue.has(pending.id)) continue
      this.#overdue.add(pending.id)
      this.#listener.overdue(pending)
    }
  }
}

/** A single statement has no steps; a transaction has `connect`, its statements, and perhaps `rollback`. */
class Steps implements Trace {
  /** When `connect` was done. */
  leasedAt: number | undefined
  reachedCommit = false
  attempts = 0
  wasResubmitted = false
  /** The last step before the failure. */
  failing = 'query'
  /** Between `rollback` and `rolled back`: an error now hides the one before. */
  isRollingBack = false

  attempt(): void {
    this.attempts++
    this.leasedAt = now()
    this.reachedCommit = this.wasResubmitted
  }

  // At its end, once, and not if the outcome was reported as unknown.
  resubmit(error: unknown): boolean {
    const isUnknown = factsOf(error, this.failing).commitOutcome === 'unknown'
    if (this.wasResubmitted || this.failing !== 'commit' || isUnknown) return false
    this.wasResubmitted = true
    this.attempts = 0
    return true
  }

  step(name: string): void {
    this.isRollingBack = name === 'rollback'
    if (name === 'rollback' || name === 'rolled back') return // The consequence, not the cause.
    if (name !== 'connect') this.leasedAt ??= now()
    if (name === 'commit') this.reachedCommit = true
    this.failing = name
  }
}
