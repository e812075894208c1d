import type { XidTracker } from '../commit/xid-tracker.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import type { PreparedStatements } from '../driver/prepared-statements.ts'
import type { DriverSession } from '../driver/session.ts'
import type { StatementKind } from '../sql/statement.ts'
import type { Cancellation } from './cancellation.ts'
import type { Lease } from './lease.ts'
import type { ServerRole } from './server-role.ts'
import type { Statement, Statements } from './statements.ts'

/** The connection, as its client sees it. */
export interface ClientOwner {
  /** The present lease, or the last. */
  readonly lease: Lease
  readonly session: DriverSession
  readonly statements: Statements
  readonly cancellation: Cancellation
  readonly pipeline: Pipeline
  readonly preparedStatements: PreparedStatements
  readonly serverRole: ServerRole
  /** Finds out what a refused write means: see `RoleCheck`. */
  readonly roleCheck: {
    after(error: Error | null, kind: StatementKind, text: string | undefined): Promise<void> | undefined
  }
  /** Knows the id of the open transaction; undefined if the pool doesn't resolve lost COMMITs. */
  readonly xidTracker: XidTracker | undefined
  /** Whether all leases have one client in common, instead of one each. */
  readonly isClientShared: boolean
  /** Whether a statement that is sent now can be enclosed in a transaction of its own: nothing is open, nothing waits. */
  readonly mayEnclose: boolean
  /** Whether the connection was lost. */
  readonly isLost: boolean
  /** Whether it is leased. Hooks and resets run outside a lease, and the scope of the caller doesn't apply to them. */
  readonly isLeased: boolean
  /** Whether a ROLLBACK has nothing left to do: the connection was lost, and the server has rolled back. */
  readonly isRolledBack: boolean
  /** Marks the connection lost by this cause. Only the first cause counts. */
  markLost(cause: unknown): void
  /** Why a call on the client is refused now; undefined if it isn't. */
  refusal(text?: string): Error | undefined
  /** Finds out whether a lost COMMIT was executed; undefined if it wasn't lost, or the pool doesn't resolve lost COMMITs. */
  resolveCommit(commit: Statement): Promise<boolean> | undefined
  /**
   * Ends the lease with this number.
   *
   * @throws {ReleaseError} if no caller has it, or it has ended.
   */
  endLease(number: number, discard?: Error | boolean): void
  /** The caller has called `client.end()`. */
  markEndedByCaller(): void
}
