import type { CommitSettings } from '../commit/settle.ts'
import type { SocketSource } from '../driver/cancel-request.ts'
import type { EndClient } from '../driver/internals.ts'
import type { KnownPooler } from '../driver/known-pooler.ts'
import type { PreparedKnown } from '../driver/prepared-statements.ts'
import type { Clock } from '../runtime/clock.ts'
import type { KnownPrimary } from './server-role.ts'

/** What all connections of a pool have in common. */
export interface ConnectionSettings {
  readonly clock: Clock
  readonly endClient: EndClient
  readonly stream: SocketSource
  readonly pipelined: boolean
  /** See `Endpoint`. */
  readonly hint: string | undefined
  /** The pool's `query_timeout`; `Infinity` for none. */
  readonly queryTimeoutMillis: number
  /** Whether an idle connection lets the process end. */
  readonly allowExitOnIdle: boolean
  /** Whether each lease has a client of its own, or all leases have the same. */
  readonly clientPerLease: boolean
  /** Whether each write of a caller runs in a transaction of its own (`transactionalWrites`). */
  readonly enclosesWrites: boolean
  /** How to find out what became of a lost COMMIT; undefined if the pool doesn't resolve them. */
  readonly commits: CommitSettings | undefined
  /** The watch over silent statements; undefined if the pool has none. */
  readonly watch: { readonly isAwake: boolean; wake(): void } | undefined
  /** What is known of a pooler in front of the server, shared by the connections of a pool. */
  readonly pooler: KnownPooler
  /** What is known of the servers, shared by the connections of a pool. */
  readonly primary: KnownPrimary
  /** What is known of prepared statements, shared by the connections of a pool. */
  readonly prepared: PreparedKnown
}
