/** What callers do: a read, a single write, a transfer between accounts, or a release with a transaction left open. */
export type OperationKind = 'read' | 'write' | 'transfer' | 'dirty'

/**
 * `declined` is the application's own decision, followed by ROLLBACK; `abandoned` was never committed; `unanswered`
 * had no outcome when its process was replaced.
 */
export type Outcome = 'ok' | 'declined' | 'abandoned' | 'failed' | 'unanswered'

/** One operation of one caller, as the application saw it. */
export interface Operation {
  /** Unique within one process. */
  readonly id: number
  readonly kind: OperationKind
  /** The phase of the storm in which it began. */
  readonly phase: number
  /** What it writes, if it writes: unique in the whole run, and written once. */
  readonly key: string
  readonly startedAt: number
  /** When it got its connection; unknown for `pool.query`. */
  readonly leasedAt: number | undefined
  readonly endedAt: number
  readonly outcome: Outcome
  /** Whether COMMIT was called: without it, nothing may have been written. */
  readonly reachedCommit: boolean
  /** How often the transaction was started: more than once if the stack retries. */
  readonly attempts: number
  /** Whether it was reported as failed, and submitted again by its caller. */
  readonly wasResubmitted: boolean
  readonly error?: ErrorFacts
}

/** The facts of an error, which can cross a process boundary. */
export interface ErrorFacts {
  readonly name: string
  /** The ORM's own error, if it was wrapped in one. */
  readonly wrapper?: string
  readonly code: string | undefined
  readonly message: string
  /** The statement or call that failed first. */
  readonly step: string
  /** Whether it is the error of the ROLLBACK that followed, and what had failed is hidden. */
  readonly isOfRollback: boolean
  // The other properties are those of Holdfast's ConnectionLostError.
  readonly phase?: string
  readonly sent?: boolean
  readonly commitOutcome?: string
}

/** Reads the facts from anything thrown. `isRollingBack`: whether ROLLBACK was running. */
export function factsOf(thrown: unknown, step: string, isRollingBack = false): ErrorFacts {
  const isOfRollback = isRollingBack || isAfterCommit(thrown)
  const error = unwrapped(thrown)
  if (!(error instanceof Error)) return { name: 'unknown', code: undefined, message: String(error), step, isOfRollback }
  const more = error as Error & { code?: unknown; phase?: unknown; sent?: unknown; commitOutcome?: unknown }
  return {
    name: error.name,
    ...(error === thrown ? {} : { wrapper: (thrown as Error).constructor.name }),
    code: typeof more.code === 'string' ? more.code : undefined,
    message: error.message || (error instanceof AggregateError ? error.errors.map(String).join(', ') : ''),
    step,
    isOfRollback,
    ...(typeof more.phase === 'string' ? { phase: more.phase } : {}),
    ...(typeof more.sent === 'boolean' ? { sent: more.sent } : {}),
    ...(typeof more.commitOutcome === 'string' ? { commitOutcome: more.commitOutcome } : {}),
  }
}

/** What an ORM throws for a statement that failed: Drizzle's has a `cause`, TypeORM's a `driverError`. */
type Wrapper = Error & { readonly query?: unknown; readonly driverError?: unknown }

function unwrapped(error: unknown): unknown {
  const { query, driverError, cause } = (error instanceof Error ? error : {}) as Wrapper
  const inner = typeof query === 'string' ? (driverError ?? cause) : undefined
  return inner instanceof Error ? inner : error
}

/** ORMs end their transactions by themselves, without a notice. But no other statement comes after COMMIT. */
function isAfterCommit(thrown: unknown): boolean {
  const { query } = (thrown instanceof Error ? thrown : {}) as Wrapper
  const { phase, sent } = (unwrapped(thrown) ?? {}) as { phase?: unknown; sent?: unknown }
  return /^rollback$/i.test(String(query)) || (phase === 'commit' && sent === false)
}
