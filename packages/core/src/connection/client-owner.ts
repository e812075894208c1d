import type { XidTracker } from '../commit/xid-tracker.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import type { PreparedStatements } from '../driver/prepared-statements.ts'
import type { Cancel } from '../runtime/clock.ts'
import type { Statement } from './in-flight.ts'
import type { Lease } from './lease.ts'

/** What a leased client asks its connection. */
export interface ClientOwner {
  /** The present lease, or the last. */
  readonly lease: Lease
  /** Notes that the connection is gone, of this cause; the first one counts. */
  markLost(cause: unknown): void
  /** Whether the connection was lost. */
  readonly isLost: boolean
  /** Whether it is leased: what runs outside, hooks and resets, has nothing to do with whoever set it off. */
  readonly isInUse: boolean
  /** Why a call on the client is refused now; undefined when it isn't. */
  refusal(text?: string): Error | undefined
  /** Whether ROLLBACK is true already: the connection was lost, and nothing of its work was written. */
  readonly isRolledBack: boolean
  /** What the server has refused since it last did what it was told. */
  readonly firstFailure: Error | undefined
  begin(text: string | undefined): Statement
  /** It was answered, or failed of this error. */
  end(statement: Statement, error?: Error): void
  /** What to tell about a statement that ended with this error. */
  explain(error: Error, statement: Statement): Error
  /** Gives a statement `timeoutMillis`, or the pool's `query_timeout`, to end; a COMMIT `commitTimeoutMillis`, too. */
  limit(timeoutMillis: number | undefined, isCommit?: boolean): Cancel | undefined
  /** Before the driver's line of statements. */
  readonly pipeline: Pipeline
  /** What the driver believes of the session's prepared statements. */
  readonly preparedStatements: PreparedStatements
  /** What knows of the open transaction; undefined where nobody wants to. */
  readonly xidTracker: XidTracker | undefined
  /** Finds out whether a lost COMMIT was carried out; undefined if it wasn't lost, or nobody wants to know. */
  outcomeOf(commit: Statement): Promise<boolean> | undefined
  /** Has the server cancel a statement, or takes it back if it hasn't been sent. */
  abort(statement: Statement, reason: Error): void
  /**
   * Ends the lease with this number.
   *
   * @throws {ReleaseError} if it was never lent, or has ended.
   */
  endLease(number: number, discard?: Error | boolean): void
  /** The holder ended the client by himself. */
  endedByHolder(): void
}
