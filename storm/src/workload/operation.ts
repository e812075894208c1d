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
  readonly error?: ErrorFacts
}

/** What is known of an error without the error: it crosses a process boundary. */
export interface ErrorFacts {
  readonly name: string
  readonly code: string | undefined
  readonly message: string
  /** The statement or call that failed first. */
  readonly step: string
  // The rest is what Holdfast's ConnectionLostError tells.
  readonly phase?: string
  readonly sent?: boolean
  readonly commitOutcome?: string
}

/** Reads the facts off anything thrown. */
export function factsOf(error: unknown, step: string): ErrorFacts {
  if (!(error instanceof Error)) return { name: 'unknown', code: undefined, message: String(error), step }
  const more = error as Error & { code?: unknown; phase?: unknown; sent?: unknown; commitOutcome?: unknown }
  return {
    name: error.name,
    code: typeof more.code === 'string' ? more.code : undefined,
    message: error.message || (error instanceof AggregateError ? error.errors.map(String).join(', ') : ''),
    step,
    ...(typeof more.phase === 'string' ? { phase: more.phase } : {}),
    ...(typeof more.sent === 'boolean' ? { sent: more.sent } : {}),
    ...(typeof more.commitOutcome === 'string' ? { commitOutcome: more.commitOutcome } : {}),
  }
}
